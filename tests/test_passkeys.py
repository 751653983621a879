"""Passkeys: what an authenticator made or signed is checked to the last flag."""

from __future__ import annotations

import secrets
from typing import Any, Final

import pytest

from tests.authenticator import EDDSA, ES256, RS256, Authenticator
from watchword.core.ticket import TicketPurpose, Tickets
from watchword.factors.passkeys import Passkeys
from watchword.factors.webauthn import RelyingParty
from watchword.keys.sealing import Sealing
from watchword.mail.message import MailPurpose
from watchword.ports import Stores
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential
from watchword.stores import memory
from watchword.testing import ManualClock

ANN: Final = bytes(range(16))
BEN: Final = bytes(range(16, 32))
SECRET: Final = b"0123456789abcdef0123456789abcdef"
PARTY: Final = RelyingParty(
    id="localhost", name="Shop", origins=("http://localhost:8000",)
)
LOGIN: Final = TicketPurpose.PASSKEY_LOGIN
STEP: Final = TicketPurpose.PASSKEY_STEP


class Told:
    """Stands for mail and the app's hook."""

    def __init__(self) -> None:
        self.told_of: list[MailPurpose] = []

    async def of(self, *_: object, **_unused: object) -> tuple[()]:
        return ()

    def told(self, account_id: bytes, purpose: MailPurpose) -> None:
        self.told_of.append(purpose)


class Desk:
    """Passkeys on a store in memory, and users that come to it."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.clock = ManualClock()
        self.notices = Told()
        self.passkeys = Passkeys(
            party=PARTY,
            credentials=stores.credentials,
            sealing=Sealing([SECRET], "credentials", secrets.token_bytes),
            tickets=Tickets([SECRET], clock=self.clock, entropy=secrets.token_bytes),
            once=stores.once,
            notices=self.notices,
            clock=self.clock,
            entropy=secrets.token_bytes,
        )

    async def register(
        self, device: Authenticator, account: bytes = ANN, name: str = "", **forged: Any
    ) -> Credential:
        options = await self.passkeys.options_to_register(account, "ann", bound="s")
        credential = device.create(options.public_key, **forged)
        row, _ = await self.passkeys.registered(
            account, options.challenge, credential, name, bound="s"
        )
        await self.stores.credentials.add([row], Trail())
        return row

    async def sign_in(
        self, device: Authenticator, **forged: Any
    ) -> tuple[Credential, tuple[str, ...]]:
        options = await self.passkeys.options_to_prove(LOGIN)
        credential = device.get(options.public_key, **forged)
        return await self.passkeys.prove(LOGIN, options.challenge, credential)


@pytest.fixture
async def desk() -> Desk:
    return Desk(await memory.open_stores("memory:", secrets.token_bytes))


@pytest.mark.parametrize("alg", [EDDSA, ES256, RS256])
async def test_a_passkey_registers_and_signs_in(desk: Desk, alg: int) -> None:
    device = Authenticator(alg=alg)
    row = await desk.register(device, name=" My phone ")
    assert (row.label, row.key, row.step) == ("My phone", device.id, 0)
    assert desk.passkeys.is_synced(row)
    assert device.id.hex() not in row.sealed.hex()
    desk.clock.advance(5)
    used, amr = await desk.sign_in(device)
    assert (used.account_id, amr) == (ANN, ("swk", "user", "mfa"))
    assert used.used_at == desk.clock()
