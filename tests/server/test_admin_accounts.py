"""What operators do by the admin API with accounts: found, made, changed, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.mail.mailbox import Mailbox
from tests.scenarios.api import PASSWORD, LocalApi, local_api, settings_for
from tests.server.operators import (
    ADMIN,
    Operator,
    client_of,
    details,
    user_of,
    verdict,
)
from watchword.accounts.registry import Accounts
from watchword.bootstrap import open_watchword
from watchword.errors import LastAdmin
from watchword.first_start import prepare
from watchword.ports.audit import EventType, Trail
from watchword.ports.credentials import Credential, CredentialKind
from watchword.server.endpoints import admin
from watchword.testing import ManualClock

ROLE: Final = "staff"
"""The admin role of this server: the word `admin` has no meaning of its own."""
ANN: Final = "ann@example.org"
SOME_ID: Final = "01234567-89ab-7cde-8f01-23456789abcd"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    settings = settings_for(
        tmp_path, "memory", admin_role=ROLE, registration="invited"
    ).model_copy(update={"issuer": "http://127.0.0.1:8000"})
    async with local_api(settings, clock) as opened:
        alice = await opened.id_of("alice")
        await opened.engine.accounts.set_roles(alice, [ROLE])
        yield opened


@pytest_asyncio.fixture
async def user(api: LocalApi) -> Operator:
    return await user_of(api)


@pytest_asyncio.fixture
async def robot(api: LocalApi) -> Operator:
    """A client with the right to write."""
    return await client_of(api, "admin:write")


async def made(api: LocalApi, name: str, **more: Any) -> str:
    """The subject of a new account of that name, with PASSWORD."""
    account = await api.engine.accounts.register(name, PASSWORD, **more)
    return account.subject


async def token_to(api: LocalApi, email: str) -> str:
    """The token of the next mail to that address."""
    sender = api.engine.mail
    assert sender is not None
    await sender.send_due()
    await sender.close()
    return Mailbox(api.engine.settings.data).token_to(email)


# Lists


async def test_accounts_are_found_by_name_address_role_and_state(
    api: LocalApi, user: Operator
) -> None:
    """From page to page each comes once, and a page says where the next begins."""
    for number in range(7):
        await made(api, f"bob-{number}", roles=["a"] if number % 2 else ["b"])
    await user.post("/accounts", {"email": "Bob@x.example", "emailConfirmed": True})
    await api.engine.accounts.disable(await api.id_of("bob-3"))

    async def names(query: str) -> list[str]:
        found: list[str] = []
        page: Any = {"next": ""}
        while page["next"] is not None:
            after = f"&after={page['next']}" if page["next"] else ""
            page = await user.get(f"/accounts?limit=3&{query}{after}")
            found += [one["username"] or one["email"] for one in page["items"]]
        return found

    bobs = [f"bob-{number}" for number in range(7)]
    assert await names("") == ["alice", *bobs, "Bob@x.example"]
    assert await names("q=%20BOB-") == bobs
    assert await names("q=bob@") == ["Bob@x.example"]
    assert await names("role=a") == bobs[1::2]
    assert await names("disabled=true") == ["bob-3"]
    assert await names("role=a&disabled=false&q=bob") == ["bob-1", "bob-5"]
    assert await names("q=nobody") == []


async def test_a_list_is_asked_for_as_its_cursor_was_made(
    api: LocalApi, user: Operator
) -> None:
    """A cursor is of one list with its filters, and cannot be made up."""
    await made(api, "bob")
    cursor = (await user.get("/accounts?limit=1"))["next"]
    later = (await user.get("/events?limit=1"))["next"]
    assert (await user.get(f"/accounts?after={cursor}&x=y"))["items"]
    for wrong in (
        *("limit=0", "limit=201", "limit=x", "limit=1&limit=2", "limit=%C2%B2"),
        *(f"after={cursor.swapcase()}", "after=", "after=bob", f"after={later}"),
        *(f"after={cursor}&q=a", f"after={cursor}&disabled=true", "disabled=1"),
        *("q=%00", f"q={'a' * 300}", "role=%00", "role=", "q=a%0Ab"),
    ):
        answer = await user.call("GET", f"/accounts?{wrong}")
        assert verdict(answer) == "400 invalid_request", wrong


async def test_an_account_is_shown_without_anything_secret(
    api: LocalApi, user: Operator
) -> None:
    bob = await made(api, "bob", roles=["a"])
    row = Credential(
        id=b"f" * 16,
        account_id=await api.id_of("bob"),
        kind=CredentialKind.TOTP,
        created_at=api.clock(),
        label="Phone",
        sealed=b"sealed-secret",
    )
    await api.engine.stores.credentials.add([row], Trail())
    shown = await user.get(f"/accounts/{bob}")
    listed = {
        "id": bob,
        "version": 0,
        "username": "bob",
        "email": None,
        "emailConfirmedAt": None,
        "roles": ["a"],
        "locale": "en",
        "disabled": False,
        "hasPassword": True,
        "createdAt": "2027-01-15T08:00:00Z",
    }
    assert shown == listed | {
        "secondFactor": {
            "methods": ["totp"],
            "factors": 1,
            "recoveryCodesLeft": 0,
            "required": False,
        }
    }
    assert (await user.get("/accounts?q=bob"))["items"] == [listed]
    factors = await user.get(f"/accounts/{bob}/factors")
    assert factors["items"][0]["name"] == "Phone"
    tokens = await api.login("alice")
    alice = await subject(api, "alice")
    sessions = (await user.get(f"/accounts/{alice}/sessions"))["items"]
    assert tokens["sessionId"] in {one["id"] for one in sessions}
    texts = [
        (await user.call("GET", path)).text
        for path in (
            *("/accounts", "/sessions", "/events", f"/accounts/{bob}"),
            *(f"/accounts/{bob}/{part}" for part in ("factors", "consents", "events")),
        )
    ]
    for secret in ("argon2", "sealed", "hash", "ww_rt_", tokens["accessToken"]):
        assert not any(secret in text.lower() for text in texts), secret


async def subject(api: LocalApi, name: str) -> str:
    return (await api.engine.accounts.get(name)).subject


# Making


NEW: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a name and a password": ({"username": "Ann", "password": PASSWORD}, "201 ok"),
    "neither name nor address": ({"password": PASSWORD}, "400 invalid_request"),
    "an address that is not confirmed, alone": (
        {"email": ANN, "password": PASSWORD},
        "400 invalid_request",
    ),
    "no password, and an address that is not confirmed": (
        {"username": "ann", "email": ANN},
        "400 invalid_request",
    ),
    "no password and no address": ({"username": "ann"}, "201 ok"),
    "a name that is taken": ({"username": "ALICE"}, "409 name_taken"),
    "a name with a control character": ({"username": "a\0"}, "400 invalid_request"),
    "no address": ({"email": "ann", "emailConfirmed": True}, "400 email_invalid"),
    "a role with a blank": (
        {"username": "ann", "roles": ["a b"]},
        "400 invalid_request",
    ),
    "a password that is too short": (
        {"username": "ann", "password": "short"},
        "422 password_rejected",
    ),
}


async def test_an_account_is_made_as_it_is_asked_for(
    api: LocalApi, user: Operator
) -> None:
    for what, (body, expected) in NEW.items():
        before = len((await user.get("/accounts"))["items"])
        answer = await user.post("/accounts", body)
        assert verdict(answer) == expected, what
        after = len((await user.get("/accounts"))["items"])
        assert after - before == (expected == "201 ok"), what
        if expected == "201 ok":
            made = answer.json()
            assert answer.headers["etag"] == f'"{made["version"]}"'
            assert made["hasPassword"] is ("password" in body)
            assert made == await user.get(f"/accounts/{made['id']}")
            await user.call("DELETE", f"/accounts/{made['id']}", version="*")


async def test_an_account_without_a_password_is_mailed_a_link_to_set_one(
    api: LocalApi, user: Operator
) -> None:
    body = {"email": ANN, "emailConfirmed": True, "roles": ["a"], "locale": "de"}
    made = (await user.post("/accounts", body)).json()
    assert (made["username"], made["email"], made["locale"]) == (None, ANN, "de")
    given = {"token": await token_to(api, ANN), "password": PASSWORD}
    answer = await api.client.post("/api/auth/password/reset", json=given)
    assert answer.status_code == 204
    assert (await api.try_login(ANN, PASSWORD)).status_code == 200
    again = await user.post("/accounts", body)
    assert verdict(again) == "409 email_taken"


async def test_an_address_that_the_operator_does_not_know_is_confirmed_by_its_user(
    api: LocalApi, user: Operator
) -> None:
    body = {"username": "ann", "email": ANN, "password": PASSWORD}
    made = (await user.post("/accounts", body)).json()
    assert (made["email"], made["emailConfirmedAt"]) == (ANN, None)
    given = {"token": await token_to(api, ANN), "password": PASSWORD}
    answer = await api.client.post("/api/auth/email/confirm", json=given)
    assert answer.status_code == 204
    shown = await user.get(f"/accounts/{made['id']}")
    assert shown["emailConfirmedAt"] is not None


# Changing


async def test_a_change_is_one_write_or_none(api: LocalApi, user: Operator) -> None:
    """Where a part of it cannot be, the rest is not done either."""
    bob, address = await made(api, "bob"), "bob@x.example"
    given = {"username": "robert", "email": address, "roles": ["a"], "locale": "de"}
    body: dict[str, Any] = given | {"emailConfirmed": True}
    answer = await user.call("PATCH", f"/accounts/{bob}", body, 0)
    changed = answer.json()
    assert (answer.headers["etag"], changed["version"]) == ('"1"', 1)
    assert {name: changed[name] for name in given} == given
    told = (await details(api, EventType.ACCOUNT_CHANGED))[0]
    assert told["change"] == "profile roles address"
    await made(api, "carl")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"roles": ["b"], "username": "carl"}, "409 name_taken"),
        ({"roles": ["b"], "email": "x"}, "400 email_invalid"),
        ({"username": "bert", "roles": ["a b"]}, "400 invalid_request"),
        ({"username": "bert", "email": None}, "400 invalid_request"),
    ]
    for body, expected in wrong:
        answer = await user.call("PATCH", f"/accounts/{bob}", body, "*")
        assert verdict(answer) == expected
        assert await user.get(f"/accounts/{bob}") == changed
    answer = await user.call("PATCH", f"/accounts/{bob}", {"username": None}, 1)
    assert answer.json() == changed | {"username": None, "version": 2}
    for body in ({}, {"email": address, "emailConfirmed": True}):
        same = await user.call("PATCH", f"/accounts/{bob}", body, 2)
        assert same.json() == answer.json()
        late = await user.call("PATCH", f"/accounts/{bob}", body, 1)
        assert verdict(late) == "412 version_changed"


WRITES: Final[dict[tuple[str, str], tuple[Any, EventType]]] = {
    ("PATCH", ""): ({"locale": "de"}, EventType.ACCOUNT_CHANGED),
    ("POST", "/disable"): (None, EventType.ACCOUNT_CHANGED),
    ("POST", "/enable"): (None, EventType.ACCOUNT_CHANGED),
    ("POST", "/send-reset"): (None, EventType.ACCOUNT_CHANGED),
    ("POST", "/reset-factors"): (None, EventType.FACTORS_RESET),
    ("POST", "/end-sessions"): (None, EventType.ACCOUNT_CHANGED),
    ("DELETE", ""): (None, EventType.ACCOUNT_DELETED),
}
"""Each change of one account: its body, and the event that it leaves."""


def test_the_table_has_every_change_of_one_account() -> None:
    one = f"{ADMIN}/accounts/{{id}}"
    assert set(WRITES) == {
        (call.method, call.path.removeprefix(one))
        for call in admin.ENDPOINTS
        if call.path.startswith(one) and call.method != "GET"
    }


async def test_a_change_is_of_the_version_that_was_seen_and_says_who_made_it(
    api: LocalApi, user: Operator, robot: Operator
) -> None:
    """428 without a version, 412 for another one; with `*` whatever it is."""
    actors = {
        user: {"by": "admin", "operator": await subject(api, "alice")},
        robot: {"by": "client", "operator": "robot"},
    }
    new = {"email": ANN, "emailConfirmed": True}
    for (method, path), (body, kind) in WRITES.items():
        for caller, actor in actors.items():
            ann = (await caller.post("/accounts", new)).json()
            assert (await details(api, EventType.ACCOUNT_CREATED))[0] == actor
            place, version = f"/accounts/{ann['id']}{path}", ann["version"]
            for wrong, expected in {
                None: "428 version_required",
                version + 1: "412 version_changed",
                "x": "400 invalid_request",
            }.items():
                answer = await caller.call(method, place, body, wrong)
                assert verdict(answer) == expected, (method, path, wrong)
            answer = await caller.call(method, place, body, version)
            assert answer.status_code in {200, 204}, answer.text
            told = (await details(api, kind))[0]
            assert {name: told[name] for name in actor} == actor
            if method == "DELETE":
                continue
            changed = answer.json()
            assert answer.headers["etag"] == f'"{changed["version"]}"'
            assert changed["version"] > version
            answer = await caller.call(method, place, body, version)
            assert verdict(answer) == "412 version_changed"
            await caller.call("PATCH", f"/accounts/{ann['id']}", {"locale": "en"}, "*")
            await caller.call("POST", f"/accounts/{ann['id']}/enable", version="*")
            answer = await caller.call(method, place, body, "*")
            assert answer.status_code == 200, answer.text
            await caller.call("DELETE", f"/accounts/{ann['id']}", version="*")
    for (method, path), (body, _) in WRITES.items():
        for unknown in (SOME_ID, "x", (await subject(api, "alice")).upper()):
            answer = await user.call(method, f"/accounts/{unknown}{path}", body, "*")
            assert verdict(answer) == "404 not_found"


async def test_what_ends_sessions_of_an_account_says_how_many(
    api: LocalApi, user: Operator
) -> None:
    bob = f"/accounts/{await made(api, 'bob')}"
    for path, counts in (
        ("/end-sessions", True),
        ("/reset-factors", False),
        ("/disable", True),
    ):
        tokens = [await api.login("bob") for _ in range(2)]
        answer = await user.post(f"{bob}{path}", version="*")
        assert answer.json().get("revoked") == (2 if counts else None)
        for one in tokens:
            ended = await api.secure(one["accessToken"])
            assert verdict(ended) == "401 token_revoked"
    assert (await api.try_login("bob", PASSWORD)).status_code == 401
    await user.post(f"{bob}/enable", version="*")
    assert (await api.try_login("bob", PASSWORD)).status_code == 200


async def test_a_reset_needs_an_enabled_account_with_a_known_address(
    api: LocalApi, user: Operator
) -> None:
    body = {"username": "ann", "email": ANN, "password": PASSWORD}
    ann = await user.post("/accounts", body | {"emailConfirmed": True})
    place = f"/accounts/{ann.json()['id']}"
    assert (await user.post(f"{place}/send-reset", version=0)).status_code == 200
    given = {"token": await token_to(api, ANN), "password": f"{PASSWORD} new"}
    answer = await api.client.post("/api/auth/password/reset", json=given)
    assert answer.status_code == 204
    await user.post(f"{place}/disable", version="*")
    bob = f"/accounts/{await made(api, 'bob')}"
    for one in (place, bob):
        answer = await user.post(f"{one}/send-reset", version="*")
        assert verdict(answer) == "400 invalid_request"


# What a client may not


async def test_a_client_can_neither_touch_an_admin_nor_make_one(
    api: LocalApi, user: Operator, robot: Operator
) -> None:
    """Nor end its sessions; one that is disabled is an admin's account too."""
    off = await made(api, "off", roles=["a", ROLE])
    await user.post(f"/accounts/{off}/disable", version="*")
    bob = await made(api, "bob")
    session = (await api.login("alice"))["sessionId"]
    rows = await api.engine.accounts.list()
    for admin_id in (await subject(api, "alice"), off):
        version = (await robot.get(f"/accounts/{admin_id}"))["version"]
        for (method, path), (body, _) in WRITES.items():
            for seen in (version, "*"):
                place = f"/accounts/{admin_id}{path}"
                answer = await robot.call(method, place, body, seen)
                assert verdict(answer) == "403 insufficient_role", (method, path)
    roles = {"roles": ["a", ROLE]}
    for method, path, body in (
        ("POST", "/accounts", {"username": "new", **roles}),
        ("PATCH", f"/accounts/{bob}", roles),
        ("POST", "/invitations", {"email": ANN, **roles}),
        ("DELETE", f"/sessions/{session}", None),
        ("POST", "/sessions/end-before", {"before": "2030-01-01T00:00:00Z"}),
    ):
        answer = await robot.call(method, path, body, "*")
        assert verdict(answer) == "403 insufficient_role", path
    assert await api.engine.accounts.list() == rows
    assert (await robot.get("/invitations"))["items"] == []
    assert session in {one["id"] for one in (await robot.get("/sessions"))["items"]}


async def test_a_role_that_is_given_meanwhile_stops_a_client(
    api: LocalApi, robot: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it may do is decided by the very row that it changes."""
    bob = await made(api, "bob")
    store: Any = api.engine.stores.accounts
    swap, once = store.swap, asyncio.Event()

    async def late(*given: Any, **named: Any) -> Any:
        if not once.is_set():
            once.set()
            await api.engine.accounts.set_roles(await api.id_of("bob"), [ROLE])
        return await swap(*given, **named)

    for seen, expected in ((0, "412 version_changed"), ("*", "403 insufficient_role")):
        once.clear()
        monkeypatch.setattr(store, "swap", late)
        answer = await robot.post(f"/accounts/{bob}/disable", version=seen)
        assert verdict(answer) == expected
        assert not (await robot.get(f"/accounts/{bob}"))["disabled"]
        monkeypatch.undo()
        await api.engine.accounts.set_roles(await api.id_of("bob"), [])


# The last admin


async def test_the_last_admin_stays_by_whatever_way(
    api: LocalApi, user: Operator
) -> None:
    """It is the last one that is enabled and has the role of the setting."""
    await made(api, "bob", roles=["admin"])
    off = await made(api, "off", roles=[ROLE])
    await user.post(f"/accounts/{off}/disable", version="*")
    alice = await api.engine.accounts.get("alice")
    verbs: list[Callable[[Accounts, bytes], Awaitable[object]]] = [
        Accounts.disable,
        lambda accounts, one: accounts.set_roles(one, ["admin"]),
        Accounts.delete,
    ]
    for verb in verbs:  # as the command line and the user itself call them
        with pytest.raises(LastAdmin):
            await verb(api.engine.accounts, alice.id)
    for method, path, body in (
        ("POST", "/disable", None),
        ("DELETE", "", None),
        ("PATCH", "", {"roles": [], "locale": "de"}),
    ):
        place = f"/accounts/{alice.subject}{path}"
        answer = await user.call(method, place, body, "*")
        assert verdict(answer) == "409 last_admin"
    assert await api.engine.accounts.get("alice") == alice
    await user.post(f"/accounts/{off}/enable", version="*")
    for verb in verbs:
        await verb(api.engine.accounts, alice.id)


async def test_the_first_account_has_the_role_of_the_setting(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "sqlite", admin_role=ROLE)
    await prepare(settings)
    async with open_watchword(settings, background=False) as engine:
        (first,) = await engine.accounts.list()
        assert first.roles == (ROLE,)


@pytest.mark.parametrize("store", ["sqlite", "postgresql-16"])
async def test_of_those_that_race_one_is_first(
    tmp_path: Path, clock: ManualClock, store: str
) -> None:
    """Two admins that remove each other; two changes of the version that both saw."""
    settings = settings_for(tmp_path, store, admin_role=ROLE)
    async with local_api(settings, clock) as api:
        alice, bob = await subject(api, "alice"), await made(api, "bob")
        for name in ("alice", "bob"):
            await api.engine.accounts.set_roles(await api.id_of(name), [ROLE])
        ours, theirs = await user_of(api), await user_of(api, "bob")
        carl = f"/accounts/{await made(api, 'carl')}"
        writes = [ours.call("PATCH", carl, {"roles": [str(n)]}, 0) for n in range(4)]
        writes.append(theirs.post(f"{carl}/disable", version=0))
        answers = await asyncio.gather(*writes)
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, 412, 412, 412, 412]
        assert (await ours.get(carl))["version"] == 1
        removals = [
            ours.post(f"/accounts/{bob}/disable", version="*"),
            theirs.call("PATCH", f"/accounts/{alice}", {"roles": []}, "*"),
        ]
        answers = await asyncio.gather(*removals)
        statuses = sorted(answer.status_code for answer in answers)
        # The second is refused, or its admin is one no more.
        assert statuses in ([200, 401], [200, 403], [200, 409])
        rows = await api.engine.accounts.list()
        assert sum(ROLE in row.roles and not row.disabled for row in rows) == 1
