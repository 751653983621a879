"""Passkeys: registered once, used once a challenge, and counted."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.authenticator import (
    EDDSA,
    ES256,
    RS256,
    Authenticator,
    cose_of,
    raw,
    text,
)
from tests.passkeys import ANN, BEN, LOGIN, PARTY, STEP, Desk, open_desk
from tests.scenarios.api import LocalApi, local_api, settings_for
from watchword import Subject
from watchword.bootstrap import Watchword
from watchword.bootstrap.factors import passkeys_off, relying_party_of
from watchword.cli.check import without_passkeys
from watchword.config import load_settings
from watchword.core.actor import EndReason
from watchword.core.limits import (
    CONTINUATION_LIFE,
    FACTOR_ACCOUNT_BURST,
    FACTOR_NETWORK_BURST,
)
from watchword.core.session import Authenticated, as_text
from watchword.core.ticket import TicketPurpose, Tickets
from watchword.errors import (
    ContinuationExpired,
    InvalidCredentials,
    InvalidRequest,
    NotFound,
    SecondFactorInvalid,
    StoreUnavailable,
    Throttled,
)
from watchword.factors import webauthn
from watchword.mail.message import MailPurpose
from watchword.ports.audit import EventType, Trail
from watchword.ports.credentials import Credential, CredentialKind
from watchword.testing import ManualClock


@pytest.fixture
async def desk() -> Desk:
    return await open_desk()


# What is asked for


async def test_options_are_what_browsers_parse(desk: Desk) -> None:
    """Each is bound to its ticket; a user has one handle, which is not the subject."""
    first, second = await desk.creation(), await desk.creation()
    asked = first.public_key
    assert raw(asked["challenge"]) == webauthn.challenge_of(first.challenge)
    assert len(raw(asked["challenge"])) == 32
    assert first.challenge.startswith("ww_wc_")
    assert asked["rp"] == {"id": "localhost", "name": "Shop"}
    assert [one["alg"] for one in asked["pubKeyCredParams"]] == [-8, -7, -257]
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert asked["attestation"] == "none"
    assert asked["user"] == second.public_key["user"]
    assert len(raw(asked["user"]["id"])) == 32
    assert ANN not in raw(asked["user"]["id"])
    assert asked["excludeCredentials"] == []

    device = Authenticator(synced=False)
    await desk.register(device)
    named = {"type": "public-key", "id": text(device.id), "transports": ["nfc", "usb"]}
    again = await desk.creation()
    assert again.public_key["excludeCredentials"] == [named]
    proof = await desk.passkeys.options_to_prove(account_id=ANN, bound="s")
    assert proof.public_key["allowCredentials"] == [named]
    assert proof.public_key["userVerification"] == "required"
    assert proof.public_key["rpId"] == "localhost"
    opened = await desk.passkeys.options_to_prove()
    assert opened.public_key["allowCredentials"] == []
    # An empty list would let any passkey answer.
    with pytest.raises(NotFound):
        await desk.passkeys.options_to_prove(account_id=BEN, bound="s")


async def test_a_user_has_one_handle_also_when_two_tabs_ask_at_once(desk: Desk) -> None:
    both = await asyncio.gather(*(desk.creation() for _ in range(9)))
    assert len({one.public_key["user"]["id"] for one in both}) == 1


@pytest.mark.parametrize("alg", [EDDSA, ES256, RS256])
async def test_a_passkey_registers_and_signs_in(desk: Desk, alg: int) -> None:
    device = Authenticator(alg=alg, origin=PARTY.origins[1])
    row = await desk.register(device, name=" My phone ")
    assert (row.label, row.key, row.step) == ("My phone", device.id, 0)
    assert desk.passkeys.is_synced(row)
    assert cose_of(device.key, alg) not in row.sealed
    desk.clock.advance(5)
    used, amr = await desk.sign_in(device)
    assert (used.account_id, amr) == (ANN, ("swk", "user", "mfa"))
    assert used.used_at == desk.clock()
    bound = Authenticator(synced=False)
    assert (await desk.register(bound)).label == "Passkey"
    _, amr = await desk.sign_in(bound)
    assert amr == ("hwk", "user", "mfa")


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "a\x1b[2J"])
async def test_a_name_is_short_and_shows_what_it_is(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await desk.register(Authenticator(), name=name)


async def test_where_passkeys_are_off_nothing_of_them_is_there(desk: Desk) -> None:
    """An app may learn its issuer, and so the domain of passkeys, while it serves."""
    device = Authenticator()
    await desk.register(device)
    options = await desk.passkeys.options_to_prove()
    desk.passkeys.party = None
    assert not desk.passkeys.is_on
    with pytest.raises(NotFound):
        await desk.creation()
    with pytest.raises(NotFound):
        await desk.passkeys.options_to_prove()
    body = device.get(options.public_key)
    with pytest.raises(NotFound):
        await desk.passkeys.prove(options.challenge, body)
    desk.passkeys.party = PARTY
    await desk.passkeys.prove(options.challenge, body)


# Challenges


async def test_a_challenge_serves_once(desk: Desk) -> None:
    device = Authenticator()
    options = await desk.creation()
    made = device.create(options.public_key)
    await desk.add(options, made)
    another = Authenticator().create(options.public_key)
    with pytest.raises(ContinuationExpired):
        await desk.add(options, another)
    asked = await desk.passkeys.options_to_prove()

    async def answered() -> bool:
        body = device.get(asked.public_key)
        try:
            await desk.passkeys.prove(asked.challenge, body)
        except ContinuationExpired:
            return False
        return True

    at_once = await asyncio.gather(*(answered() for _ in range(9)))
    assert sorted(at_once) == [False] * 8 + [True]


async def test_a_wrong_answer_does_not_spend_the_challenge(desk: Desk) -> None:
    device = Authenticator()
    options = await desk.creation()
    with pytest.raises(SecondFactorInvalid):
        await desk.add(options, device.create(options.public_key, rp_id="evil"))
    await desk.add(options, device.create(options.public_key))
    asked = await desk.passkeys.options_to_prove()
    wrong = device.get(asked.public_key, rp_id="evil")
    with pytest.raises(SecondFactorInvalid):
        await desk.passkeys.prove(asked.challenge, wrong)
    right = device.get(asked.public_key)
    await desk.passkeys.prove(asked.challenge, right)


async def test_a_registration_that_is_sent_again_finds_its_passkey(desk: Desk) -> None:
    """The first answer was lost. A passkey that is another user's is refused."""
    device = Authenticator()
    options = await desk.creation()
    body = device.create(options.public_key)
    row = await desk.add(options, body)
    again, _ = await desk.passkeys.registered(
        ANN, options.challenge, body, "", bound="s"
    )
    assert again == row
    for account in (ANN, BEN):
        with pytest.raises(SecondFactorInvalid):
            await desk.register(device, account)


async def _wrong_challenges(desk: Desk) -> dict[str, str]:
    """Tickets that are no open challenge of this server, by what they are."""
    passkeys = desk.passkeys
    old = (await passkeys.options_to_prove()).challenge
    desk.clock.advance(CONTINUATION_LIFE + 1)
    other = Tickets([b"x" * 32], clock=desk.clock, entropy=secrets.token_bytes)
    statement = msgspec.defstruct("S", [("account_id", None), ("bound", str)])
    found = {
        "expired": old,
        "nothing": "",
        "a word": "ww_wc_",
        "not of this server": other.seal(LOGIN, statement(None, "")),
        "too long": "ww_wc_" + "A" * 1_000_000,
        "no ASCII": "ww_wc_\N{SNOWMAN}",
        "to register": (await desk.creation()).challenge,
        "a step": desk.tickets.seal(STEP, statement(None, "")),
        "of a user": (await passkeys.options_to_prove(account_id=ANN)).challenge,
        "of a browser": (await passkeys.options_to_prove(bound="b")).challenge,
        "a continuation": desk.tickets.seal(TicketPurpose.LOGIN, statement(None, "")),
    }
    desk.clock.advance(CONTINUATION_LIFE + 1)
    found["of the future"] = (await passkeys.options_to_prove()).challenge
    desk.clock.advance(-CONTINUATION_LIFE - 1)
    return found


async def test_a_challenge_is_of_this_server_this_purpose_and_this_caller(
    desk: Desk,
) -> None:
    """The answer is signed for the ticket that comes with it, and right otherwise."""
    device = Authenticator()
    await desk.register(device)
    accepted = []
    for name, ticket in (await _wrong_challenges(desk)).items():
        challenge = text(webauthn.challenge_of(ticket))
        body = device.get({"challenge": challenge, "rpId": PARTY.id})
        made = Authenticator().create(
            (await desk.creation()).public_key | {"challenge": challenge}
        )
        for call in (
            desk.passkeys.prove(ticket, body),
            desk.passkeys.registered(BEN, ticket, made, "", bound="s"),
        ):
            try:
                await call
            except ContinuationExpired:
                continue
            accepted.append(name)
    assert not accepted


async def test_a_step_up_takes_what_was_asked_of_its_session_or_of_any(
    desk: Desk,
) -> None:
    ann, ben = Authenticator(), Authenticator()
    await desk.register(ann)
    await desk.register(ben, BEN)

    async def proves(device: Authenticator, **asked: Any) -> bool:
        options = await desk.passkeys.options_to_prove(**asked)
        body = device.get(options.public_key)
        try:
            await desk.passkeys.prove(
                options.challenge, body, account_id=ANN, bound="s"
            )
        except (ContinuationExpired, SecondFactorInvalid):
            return False
        return True

    assert await proves(ann, account_id=ANN, bound="s")
    assert await proves(ann)
    assert not await proves(ben)
    assert not await proves(ben, account_id=ANN, bound="s")
    assert not await proves(ann, account_id=ANN, bound="other")
    assert not await proves(ann, account_id=BEN, bound="s")
    assert not await proves(ann, bound="s")


async def test_a_known_user_need_not_be_named_again(desk: Desk) -> None:
    """Authenticators leave the handle out where the passkey was named (§6.3.3)."""
    device = Authenticator()
    await desk.register(device)
    options = await desk.passkeys.options_to_prove(account_id=ANN, bound="c")
    body = device.get(options.public_key, userHandle=None)
    await desk.passkeys.prove(options.challenge, body, account_id=ANN, bound="c")


async def test_a_reset_makes_void_what_was_begun_before_it(desk: Desk) -> None:
    options = await desk.creation()
    await desk.stores.credentials.drop(ANN, Trail())
    body = Authenticator().create(options.public_key)
    with pytest.raises(ContinuationExpired):
        await desk.add(options, body)


async def test_a_writer_of_the_database_plants_no_passkey(desk: Desk) -> None:
    """What is sealed for one row is refused in another."""
    device = Authenticator()
    row = await desk.register(device)
    planted = Authenticator(handle=device.handle)
    copy = msgspec.structs.replace(row, id=bytes(16), key=planted.id)
    await desk.stores.credentials.add([copy], Trail())
    with pytest.raises(SecondFactorInvalid):
        await desk.sign_in(planted)


# Counters


@pytest.mark.parametrize(
    ("was", "comes", "is_told"),
    [
        (0, 0, False),
        (0, 7, False),
        (5, 6, False),
        (5, 5, True),
        (5, 4, True),
        (5, 0, True),
    ],
)
@pytest.mark.parametrize("synced", [True, False])
async def test_a_counter_that_does_not_rise_is_told(
    desk: Desk, *, was: int, comes: int, is_told: bool, synced: bool
) -> None:
    """A copy of a passkey that is bound to its device is refused besides."""
    device = Authenticator(synced=synced, counter=was)
    await desk.register(device)
    if is_told and not synced:
        with pytest.raises(SecondFactorInvalid):
            await desk.sign_in(device, counter=comes)
        (row,) = await _passkeys_of(desk)
        assert (row.step, row.used_at) == (was, None)
    else:
        row, _ = await desk.sign_in(device, counter=comes)
        assert (row.step, row.used_at) == (comes, desk.clock())
    events = [event for _, event in await desk.stores.audit.read(0, 9)]
    assert desk.notices.told_of == [(ANN, MailPurpose.PASSKEY_COUNTER)] * is_told
    assert [event.type for event in events] == [EventType.PASSKEY_COUNTER] * is_told
    for event in events:
        assert event.account_id == ANN
        assert event.detail == {
            "factor": as_text(row.id),
            "was": was,
            "is": comes,
            "refused": not synced,
        }


async def _passkeys_of(desk: Desk, account: bytes = ANN) -> list[Credential]:
    rows = await desk.stores.credentials.of_account(account)
    return [row for row in rows if row.kind is CredentialKind.PASSKEY]


async def test_uses_at_once_are_all_counted(desk: Desk) -> None:
    """Each moves the row from where the other left it; only the order may be told."""
    device = Authenticator(synced=False, counter=1)
    await desk.register(device)
    asked = [await desk.passkeys.options_to_prove() for _ in range(5)]
    bodies = [device.get(one.public_key) for one in asked]
    await asyncio.gather(
        *(
            desk.passkeys.prove(one.challenge, body)
            for one, body in zip(asked, bodies, strict=True)
        )
    )
    (row,) = await _passkeys_of(desk)
    assert (row.step, row.version) == (6, 5)


# The way in


SUBJECT: Final = bytes(15) + b"\x07"


@asynccontextmanager
async def door(folder: Path, **given: Any) -> AsyncIterator[LocalApi]:
    settings = settings_for(folder, "memory")
    async with local_api(settings, ManualClock(), **given) as api:
        yield api


async def enrolled(engine: Watchword, account_id: bytes) -> Authenticator:
    """A device of the user, at the pages of the server."""
    passkeys, device = engine.second_factors.passkeys, Authenticator()
    device.origin = engine.settings.effective_origin
    options = await passkeys.options_to_register(account_id, "ann", bound="s")
    row, _ = await passkeys.registered(
        account_id, options.challenge, device.create(options.public_key), "", bound="s"
    )
    await engine.stores.credentials.add([row], Trail())
    return device


async def signs_in(
    engine: Watchword, device: Authenticator, **forged: Any
) -> Authenticated:
    way_in = engine.second_factors.passkey_sign_in
    assert way_in is not None
    options = await way_in.options()
    body = device.get(options.public_key, **forged)
    return await way_in.authenticate(options.challenge, body, address="192.0.2.7")


async def test_a_passkey_is_two_factors(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        account = await api.engine.accounts.get("alice")
        device = await enrolled(api.engine, account.id)
        proved = await signs_in(api.engine, device)
        assert proved == Authenticated(
            account.id,
            account.roles,
            account.epoch,
            ("swk", "user", "mfa"),
            "aal2",
            api.clock(),
        )


async def test_who_must_not_sign_in_is_told_nothing_more(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        account_id = await api.id_of("alice")
        device = await enrolled(api.engine, account_id)
        stranger = Authenticator(origin=device.origin, handle=device.handle)
        with pytest.raises(SecondFactorInvalid):
            await signs_in(api.engine, stranger)
        with pytest.raises(SecondFactorInvalid):
            await signs_in(api.engine, device, signature=text(b"x" * 70))
        await api.engine.accounts.disable(account_id)
        with pytest.raises(SecondFactorInvalid):
            await signs_in(api.engine, device)
        events = [event for _, event in await api.engine.stores.audit.read(0, 99)]
        failed = [event for event in events if event.type is EventType.FACTOR_FAILED]
        assert [event.account_id for event in failed] == [None, *[account_id] * 2]


async def test_tries_are_counted_by_account_and_by_network(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        device = await enrolled(api.engine, await api.id_of("alice"))
        unknown = Authenticator(origin=device.origin)
        for one, tries in (
            (device, FACTOR_ACCOUNT_BURST),
            (unknown, FACTOR_NETWORK_BURST - FACTOR_ACCOUNT_BURST),
        ):
            for _ in range(tries):
                with pytest.raises(SecondFactorInvalid):
                    await signs_in(api.engine, one, rp_id="evil.example")
            with pytest.raises(Throttled):
                await signs_in(api.engine, one)


async def test_an_app_finds_its_own_users_by_their_id(tmp_path: Path) -> None:
    """It may refuse one. A passkey alone opens nothing where the app finds no user."""
    known: dict[str, Subject | None] = {}

    async with door(
        tmp_path, authenticate=lambda _: None, load_subject=known.get
    ) as api:
        device = await enrolled(api.engine, SUBJECT)
        sub = "00000000-0000-0000-0000-000000000007"
        for found in (None, Subject(8)):
            known[sub] = found
            with pytest.raises(SecondFactorInvalid):
                await signs_in(api.engine, device)
        known[sub] = Subject(7, roles=("clerk",))
        proved = await signs_in(api.engine, device)
        assert (proved.account_id, proved.roles) == (SUBJECT, ("clerk",))
        subjects = api.engine.subjects
        assert subjects is not None
        await subjects.end_all(7, EndReason.ENDED_BY_APP)
        with pytest.raises(InvalidCredentials):
            await subjects.look_again(proved)

        def broken(_: str) -> Subject:
            raise OSError

    async with door(
        tmp_path / "b", authenticate=lambda _: None, load_subject=broken
    ) as api:
        device = await enrolled(api.engine, SUBJECT)
        with pytest.raises(StoreUnavailable):
            await signs_in(api.engine, device)
    async with door(tmp_path / "c", authenticate=lambda _: None) as api:
        assert api.engine.second_factors.passkeys.is_on
        assert api.engine.second_factors.passkey_sign_in is None


# Where there are none


@pytest.mark.parametrize(
    ("given", "domain", "origins"),
    [
        (
            {"issuer": "https://Auth.example:443/x"},
            "auth.example",
            ["https://auth.example"],
        ),
        ({"issuer": "http://localhost:8000"}, "localhost", ["http://localhost:8000"]),
        (
            {
                "issuer": "https://auth.shop.example",
                "rp_id": "shop.example",
                "passkey_origins": "https://www.shop.example",
            },
            "shop.example",
            ["https://auth.shop.example", "https://www.shop.example"],
        ),
    ],
)
def test_passkeys_are_bound_to_what_is_set(
    given: dict[str, str], domain: str, origins: list[str]
) -> None:
    settings = load_settings(**given)
    party = relying_party_of(settings)
    assert party is not None
    assert (party.id, list(party.origins)) == (domain, origins)
    assert passkeys_off(settings) is None


@pytest.mark.parametrize(
    ("given", "use"),
    [
        ({}, "--issuer http://localhost:8000"),
        ({"port": 9000}, "--issuer http://localhost:9000"),
        ({"issuer": "http://[::1]"}, "--issuer http://localhost"),
        ({"issuer": "https://192.0.2.7"}, "--issuer https://HOST"),
    ],
)
def test_an_address_has_no_passkeys_and_it_is_said_what_has(
    given: dict[str, Any], use: str
) -> None:
    settings = load_settings(**given)
    assert relying_party_of(settings) is None
    off = "passkeys are off, because the issuer is an address: use "
    assert passkeys_off(settings) == off + use
    assert passkeys_off(settings.model_copy(update={"passkeys": False})) is None


async def test_docs_say_that_passkeys_are_off(tmp_path: Path) -> None:
    """They are as soon as an app has learnt an issuer that is a name."""
    settings = settings_for(tmp_path, "memory")
    settings = settings.model_copy(update={"issuer": "http://127.0.0.1:8000"})
    async with local_api(settings, ManualClock()) as api:
        parts = api.engine.second_factors
        assert not parts.passkeys.is_on
        assert not (await parts.factors.of(SUBJECT)).has_passkeys
        page = (await api.client.get("/docs")).text
        assert "Passkeys are off" in page
        assert "--issuer http://localhost:8000" in page
        api.engine.issue_as("http://localhost:9000")
        assert (await parts.factors.of(SUBJECT)).has_passkeys
        await signs_in(api.engine, await enrolled(api.engine, await api.id_of("alice")))
        assert "Passkeys" not in (await api.client.get("/docs")).text


async def test_a_server_without_the_library_starts_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webauthn, "find_spec", lambda _: None)
    told = "passkeys are off: install watchword[passkeys]"
    async with door(tmp_path) as api:
        assert not api.engine.second_factors.passkeys.is_on
        assert told[1:] in (await api.client.get("/docs")).text
        assert list(without_passkeys(api.engine.settings)) == [told]
    monkeypatch.undo()
    assert list(without_passkeys(load_settings())) == []
