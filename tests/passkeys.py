"""Passkeys on a store in memory, and users that come with their devices."""

from __future__ import annotations

import secrets
from typing import Any, Final

from tests.authenticator import Authenticator
from watchword.core.ticket import TicketPurpose, Tickets
from watchword.factors.passkeys import PasskeyOptions, Passkeys
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
ORIGIN: Final = "http://localhost:8000"
PARTY: Final = RelyingParty(
    id="localhost", name="Shop", origins=(ORIGIN, "http://app.localhost:8000")
)
LOGIN: Final = TicketPurpose.PASSKEY_LOGIN
STEP: Final = TicketPurpose.PASSKEY_STEP
ENROL: Final = TicketPurpose.PASSKEY_ENROL

Body = dict[str, Any]


class Told:
    """Stands for mail and the app's hook."""

    def __init__(self) -> None:
        self.told_of: list[tuple[bytes, MailPurpose]] = []

    async def of(self, *_: object, **_unused: object) -> tuple[()]:
        return ()

    def told(self, account_id: bytes, purpose: MailPurpose) -> None:
        self.told_of.append((account_id, purpose))


class Desk:
    """Passkeys on a store in memory, and users that come to it."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.clock = ManualClock()
        self.notices = Told()
        self.tickets = Tickets([SECRET], clock=self.clock, entropy=secrets.token_bytes)
        self.passkeys = Passkeys(
            party=PARTY,
            credentials=stores.credentials,
            sealing=Sealing([SECRET], "credentials", secrets.token_bytes),
            tickets=self.tickets,
            once=stores.once,
            notices=self.notices,
            throttle=stores.throttle,
            clock=self.clock,
            entropy=secrets.token_bytes,
        )

    async def creation(self, account: bytes = ANN) -> PasskeyOptions:
        return await self.passkeys.options_to_register(account, "ann", bound="s")

    async def add(
        self, options: PasskeyOptions, body: Body, account: bytes = ANN, name: str = ""
    ) -> Credential:
        row, _ = await self.passkeys.registered(
            account, options.challenge, body, name, bound="s"
        )
        await self.stores.credentials.add([row], Trail())
        return row

    async def register(
        self, device: Authenticator, account: bytes = ANN, name: str = ""
    ) -> Credential:
        options = await self.creation(account)
        return await self.add(options, device.create(options.public_key), account, name)

    async def sign_in(
        self, device: Authenticator, **forged: Any
    ) -> tuple[Credential, tuple[str, ...]]:
        options = await self.passkeys.options_to_prove()
        body = device.get(options.public_key, **forged)
        return await self.passkeys.prove(options.challenge, body)


async def open_desk() -> Desk:
    return Desk(await memory.open_stores("memory:", secrets.token_bytes))
