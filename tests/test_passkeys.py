"""Passkeys: registered once, used once a challenge, and counted."""

from __future__ import annotations

import asyncio

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
from tests.passkeys import (
    ANN,
    BEN,
    LOGIN,
    PARTY,
    STEP,
    Desk,
    open_desk,
)
from watchword.errors import (
    InvalidRequest,
    NotFound,
)
from watchword.factors import webauthn


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
    proof = await desk.passkeys.options_to_prove(STEP, account_id=ANN, bound="s")
    assert proof.public_key["allowCredentials"] == [named]
    assert proof.public_key["userVerification"] == "required"
    assert proof.public_key["rpId"] == "localhost"
    opened = await desk.passkeys.options_to_prove(LOGIN)
    assert opened.public_key["allowCredentials"] == []
    # An empty list would let any passkey answer.
    with pytest.raises(NotFound):
        await desk.passkeys.options_to_prove(STEP, account_id=BEN, bound="s")


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
    options = await desk.passkeys.options_to_prove(LOGIN)
    desk.passkeys.party = None
    assert not desk.passkeys.is_on
    with pytest.raises(NotFound):
        await desk.creation()
    with pytest.raises(NotFound):
        await desk.passkeys.options_to_prove(LOGIN)
    body = device.get(options.public_key)
    with pytest.raises(NotFound):
        await desk.passkeys.prove(LOGIN, options.challenge, body)
    desk.passkeys.party = PARTY
    await desk.passkeys.prove(LOGIN, options.challenge, body)
