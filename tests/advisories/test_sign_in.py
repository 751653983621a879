"""Section 3 of the advisories: sign-in, enumeration, throttling, Unicode."""

from __future__ import annotations

import itertools
from typing import Any

import argon2.low_level
import pytest

from tests.advisories.conftest import Serve
from tests.scenarios.api import BASE, PASSWORD, LocalApi, code_of
from watchword.accounts.names import normalise_name
from watchword.attempts import throttle_costs
from watchword.core import limits
from watchword.errors import InvalidRequest, NameTaken

LONG = "a long common beginning of more than seventy-two bytes, as bcrypt would cut it"


async def login(api: LocalApi, name: str, password: str, **headers: str) -> Any:
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    body = {"username": name, "password": password}
    return await api.client.post(f"{BASE}/login", json=body, headers=given)


async def test_cve_2025_22228_every_byte_of_a_password_counts(api: LocalApi) -> None:
    common = (LONG * 2)[:100]
    await api.engine.accounts.register("carol", common + " violet")
    for tail in (" violeT", "", " ", " violet ", "\0", " violet\0"):
        assert (await login(api, "carol", common + tail)).status_code == 401
    assert (await login(api, "carol", common + " violet")).status_code == 200


async def test_okta_2024_a_long_user_name_does_not_swallow_the_password(
    api: LocalApi,
) -> None:
    name = "n" * 254
    await api.engine.accounts.register(name, PASSWORD)
    assert (await login(api, name, "whatever else it is")).status_code == 401
    assert (await login(api, name, PASSWORD)).status_code == 200
    longer = await login(api, "n" * 300, PASSWORD)
    assert code_of(longer) == "invalid_request"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each password that was hashed to compare it."""
    seen: list[int] = []
    real = argon2.low_level.verify_secret

    def counting(stored: bytes, secret: bytes, kind: Any) -> Any:
        seen.append(len(secret))
        return real(stored, secret, kind)

    for place in ("argon2.low_level", "argon2._password_hasher"):
        monkeypatch.setattr(f"{place}.verify_secret", counting)
    return seen


@pytest.mark.parametrize("who", ["known", "unknown", "disabled"])
@pytest.mark.parametrize("password", ["wrong but plausible", "x", "", "p" * 20_000])
async def test_cve_2026_22746_every_refusal_costs_one_hash(
    api: LocalApi, hashes: list[int], who: str, password: str
) -> None:
    """An over-long password too (CVE-2025-22234): no early way out to be timed."""
    await api.engine.accounts.register("known", PASSWORD)
    await api.engine.accounts.register("disabled", PASSWORD)
    await api.engine.accounts.disable(await api.id_of("disabled"))
    assert (await login(api, who, password)).status_code == 401
    assert len(hashes) == 1


async def test_cve_2026_23511_every_refusal_looks_the_same(api: LocalApi) -> None:
    await api.engine.accounts.register("disabled", PASSWORD)
    await api.engine.accounts.disable(await api.id_of("disabled"))
    answers = [
        await login(api, name, password)
        for name in ("alice", "unknown", "disabled", "ALICE", "a" * 254)
        for password in ("wrong", "", "p" * 9000, *([PASSWORD] * (name == "disabled")))
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    # Each request has an id of its own, which says nothing.
    headers = [{**answer.headers, "x-request-id": ""} for answer in answers]
    assert len({str(sorted(one.items())) for one in headers}) == 1


SPELLINGS = (
    "alice",
    "ALICE",
    " Alice ",
    "ａｌｉｃｅ",
    "AlIcE",
    "alice\t",
    "\u2003alice",
)


@pytest.mark.parametrize("exists", [True, False])
async def test_cve_2025_54998_all_spellings_share_one_counter(
    api: LocalApi, *, exists: bool
) -> None:
    if not exists:
        await api.engine.accounts.delete(await api.id_of("alice"))
    spelled = itertools.cycle(SPELLINGS)
    for _ in range(limits.THROTTLE_NAME_BURST):
        assert (await login(api, next(spelled), "wrong")).status_code == 401
    for name in SPELLINGS:
        for password in ("wrong", PASSWORD):
            refused = await login(api, name, password)
            assert (refused.status_code, code_of(refused)) == (429, "throttled")
            assert int(refused.headers["retry-after"]) > 0


def forged(number: int) -> dict[str, str]:
    """Every header that somebody believes, with another address each time."""
    address = f"198.51.100.{number}"
    names = (
        *("X_Forwarded_For", "X_Real_IP", "True_Client_IP", "CF_Connecting_IP"),
        *("X_Client_IP", "X_Cluster_Client_IP", "Fastly_Client_IP", "X_Originating_IP"),
    )
    return dict.fromkeys(names, address) | {"Forwarded": f"for={address}"}


async def test_cve_2026_29794_an_address_is_not_what_a_header_says(
    api: LocalApi,
) -> None:
    for number in range(limits.THROTTLE_ADDRESS_BURST):
        answer = await login(api, f"user-{number}", "wrong", **forged(number))
        assert answer.status_code == 401
    refused = await login(api, "another", "wrong", **forged(250))
    assert code_of(refused) == "throttled"


def test_cve_2026_45364_ipv6_is_counted_by_its_network() -> None:
    def key(address: str) -> str:
        return throttle_costs("n", address)[0].key

    assert key("2001:db8::1") == key("2001:db8::ffff:2:3")
    assert key("2001:DB8:0:0:1::") == key("2001:db8::1")
    assert key("2001:db8:0:1::1") != key("2001:db8::1")
    assert key("::ffff:192.0.2.1") == key("192.0.2.1")
    assert key("192.0.2.1") != key("192.0.2.2")


async def test_cve_2026_43914_every_other_call_that_tries_a_password_is_counted(
    api: LocalApi,
) -> None:
    """As a sign-in is, and with the sign-ins of that account: each is a way to guess.

    The calls that take the token of a mail besides are bounded by the network.
    """
    document = (await api.client.get("/openapi.json")).json()
    taking = {
        name
        for name, schema in document["components"]["schemas"].items()
        if any(
            "password" in field.lower() and kind.get("type") != "boolean"
            for field, kind in schema.get("properties", {}).items()
        )
    }
    new = {"Register", "Reset", "NewAccount"}
    with_token = {"AcceptInvitation", "ConfirmEmail", "ConfirmRegistration"}
    assert taking == {"Login", "ChangePassword", "StepUpByPassword"} | new | with_token
    using = [
        path
        for path, methods in document["paths"].items()
        if "schemas/Login" in str([m.get("requestBody") for m in methods.values()])
    ]
    assert using == [f"{BASE}/login"]
    held = {"refreshToken": (await api.login())["refreshToken"]}
    wrong = {"step-up": {"method": "password", "password": "wrong"}}
    wrong["password/change"] = {"currentPassword": "wrong", "password": PASSWORD}
    for number in range(limits.THROTTLE_NAME_BURST):
        where = list(wrong)[number % 2]
        answer = await api.client.post(f"{BASE}/{where}", json=held | wrong[where])
        assert code_of(answer) == "invalid_credentials"
    for where, body in wrong.items():
        answer = await api.client.post(f"{BASE}/{where}", json=held | body)
        assert code_of(answer) == "throttled"
    assert code_of(await login(api, "alice", PASSWORD)) == "throttled"


async def test_cve_2026_40574_an_address_with_two_signs_is_taken_whole(
    api: LocalApi,
) -> None:
    await api.engine.accounts.register("a@b.example@c.example", PASSWORD)
    for name in ("a@b.example", "a@c.example", "b.example@c.example", "a"):
        assert (await login(api, name, PASSWORD)).status_code == 401
    assert (await login(api, "a@b.example@c.example", PASSWORD)).status_code == 200


PAIRS = (
    ("K", "k"),  # the Kelvin sign
    ("ﬁ", "fi"),
    ("e\u0301", "é"),
    ("ß", "ss"),
    ("ẞ", "ss"),
    ("Ω", "ω"),
    ("ſ", "s"),
    ("①", "1"),
    ("Ａ", "a"),
)
DISTINCT = (("ı", "i"), ("а", "a"), ("ο", "o"), ("é", "e"), ("ø", "o"))
REFUSED = ("\u200b", "\u200d", "\ufeff", "\u202e", "\x00", "\u00ad", "\u2060", "\ue000")


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_ghsa_7rqj_j65f_68wh_two_spellings_are_one_account(
    api: LocalApi, one: str, other: str
) -> None:
    await api.engine.accounts.register(f"x{one}y@mail.example", PASSWORD)
    with pytest.raises(NameTaken):
        await api.engine.accounts.register(f"x{other}y@mail.example", PASSWORD)
    for name in (one, other):
        answer = await login(api, f"x{name}y@mail.example", PASSWORD)
        assert answer.status_code == 200


@pytest.mark.parametrize(("one", "other"), DISTINCT)
async def test_github_2016_letters_that_look_alike_are_two_accounts(
    api: LocalApi, one: str, other: str
) -> None:
    """Dotless i is not i: neither's password opens the other."""
    mine = await api.engine.accounts.register(f"m{one}ke@mail.example", PASSWORD)
    theirs = await api.engine.accounts.register(
        f"m{other}ke@mail.example", "another horse staple battery 7"
    )
    assert mine.id != theirs.id
    answer = await login(api, f"m{other}ke@mail.example", PASSWORD)
    assert answer.status_code == 401


@pytest.mark.parametrize("invisible", REFUSED)
async def test_cve_2024_12224_invisible_characters_are_refused(
    api: LocalApi, invisible: str
) -> None:
    with pytest.raises(InvalidRequest):
        normalise_name(f"ali{invisible}ce")
    answer = await login(api, f"ali{invisible}ce", PASSWORD)
    assert code_of(answer) == "invalid_request"


@pytest.mark.parametrize("text", [a + b for pair in PAIRS for a, b in [pair]])
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_name(text)
    assert normalise_name(once) == once


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-Host", "X-Forwarded-Proto", "X_Forwarded_For", "X-Original-URL"),
        *("X-Rewrite-URL", "X-Forwarded-User", "Remote-User", "X_Remote_User", "Host"),
    ],
)
async def test_cve_2026_40575_a_proxys_headers_change_nothing(
    serve: Serve, header: str
) -> None:
    async with serve() as api:
        plain = await api.login()
        value = {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"}.get(
            header, "evil.example"
        )
        given: Any = {header: value}
        body = {"username": "alice", "password": PASSWORD}
        answer = await api.client.post(f"{BASE}/login", json=body, headers=given)
        assert answer.json().keys() == plain.keys()
        claims = api.engine.checker.verify(answer.json()["accessToken"])
        assert claims.iss == "https://auth.example"
        assert "evil" not in answer.text + str(answer.headers)
        missing = await api.client.get(f"{BASE}/secure", headers=given)
        assert code_of(missing) == "token_missing"
