"""An engine in this process with a user, and what stands between it and a session.

The user is an account of Watchword, or one of an app's own.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from tests.authenticator import Authenticator
from tests.servers.stores import STORES
from watchword import Credentials, Subject
from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.second_factors import SecondFactors
from watchword.config import Settings
from watchword.core import limits, totp
from watchword.core.actor import Actor, By
from watchword.core.session import Session, SessionOptions, TokenSet
from watchword.errors import SecondFactorRequired, WatchwordError
from watchword.factors.proof import FactorProof, Method
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, Mail, open_mail
from watchword.mail.sender import Decided
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.sign_in.continuation import Binding
from watchword.sign_in.own_users import account_id_of
from watchword.testing import ManualClock, SeededEntropy

SECRET: Final = "s" * 40
NAME: Final = "ada"
EMAIL: Final = "ada@a.example"
PASSWORD: Final = "correct horse battery staple 41"
HERE: Final = "192.0.2.1"
USER: Final = By(Actor.USER, HERE)
OPTIONS: Final = SessionOptions(client_id="first-party")
OURS: Final = Binding(client_id="first-party")
OWN: Final = 7
ISSUER: Final = "https://auth.example"
EVERY_STORE: Final = [
    {"kind": kind} for kind in ("memory", "sqlite", "postgresql-16", "valkey-9")
]
"""What `door` takes for a story whose outcome is decided in the store."""


class Door:
    """The engine, its user, and the factors that the user has."""

    def __init__(self, engine: Watchword, clock: ManualClock) -> None:
        self.engine = engine
        self.stores: Any = engine.stores
        self.clock = clock
        self.parts: SecondFactors = engine.second_factors
        self.id = b""
        self.roles: tuple[str, ...] = ()
        self.codes: list[str] = []
        self.passkey = Authenticator(ISSUER)
        self._secret = b""

    async def check(self, given: Credentials) -> Subject | None:
        """The app's own check of its users."""
        right = (given.username, given.password) == (NAME, PASSWORD)
        return Subject(OWN, self.roles) if right else None

    async def make_user(self) -> None:
        """Ada, with a confirmed address if she is an account."""
        if self.engine.subjects is not None:
            self.id = account_id_of(OWN)
            return
        ada = await self.engine.accounts.register(NAME, PASSWORD)
        self.id = ada.id
        service = self.engine.self_service
        assert service is not None
        await service.email_changes.assign(ada.id, EMAIL, confirmed=True, by=USER)
        await self.mails()

    # Factors.

    async def has_totp(self) -> None:
        """She has an authenticator app, and the recovery codes that came with it."""
        pending = self.parts.totp.begin(self.id, NAME)
        self.knows(pending.secret)
        row, _ = self.parts.totp.confirmed(self.id, pending.factor, self.code())
        codes = await self.parts.factors.add(self.id, row, keep_session=None, by=USER)
        self.codes.extend(codes)

    def knows(self, secret: str) -> None:
        """Her app has this secret from now on."""
        self._secret = base64.b32decode(secret)

    def code(self) -> str:
        """A code that was never used: of the next step, which is now."""
        self.clock.advance(limits.TOTP_STEP)
        return totp.code_at(self._secret, self.clock() // limits.TOTP_STEP)

    def by_totp(self) -> FactorProof:
        return FactorProof(method=Method.TOTP, code=self.code())

    def by_code(self) -> FactorProof:
        return FactorProof(method=Method.RECOVERY_CODE, code=self.codes.pop())

    def wrong(self) -> FactorProof:
        return FactorProof(method=Method.RECOVERY_CODE, code="0" * 24)

    async def has_passkey(self) -> None:
        passkeys = self.parts.passkeys
        options = await passkeys.options_to_register(self.id, NAME, bound="here")
        answer = self.passkey.create(options.public_key)
        row, _ = await passkeys.registered(
            self.id, options.challenge, answer, "key", bound="here"
        )
        await self.parts.factors.add(self.id, row, keep_session=b"none", by=USER)

    def by_passkey(self, options: Any) -> FactorProof:
        return FactorProof(
            method=Method.PASSKEY,
            challenge=options.challenge,
            credential=self.passkey.get(options.public_key),
        )

    # Sign-in.

    async def sign_in(
        self, options: SessionOptions = OPTIONS, **request: Any
    ) -> TokenSet:
        return await self.engine.sign_in.by_password(
            NAME, PASSWORD, options, address=HERE, **request
        )

    async def begun(self, **request: Any) -> str:
        """The continuation of a sign-in by her password."""
        return (await stopped(self.sign_in(**request))).continuation

    async def finish(
        self,
        continuation: str,
        proof: FactorProof | None = None,
        binding: Binding = OURS,
        **request: Any,
    ) -> TokenSet:
        return await self.parts.second_step.finish(
            continuation,
            proof or self.by_totp(),
            binding=binding,
            address=HERE,
            **request,
        )

    async def alive(self) -> list[Session]:
        return list((await self.engine.sessions.page(None)).sessions)

    async def mails(self) -> list[Mail]:
        """What the sender would send now, as it decides it; it is gone then."""
        service = self.engine.self_service
        assert service is not None
        sealing = Sealing([SECRET.encode()], SEALED_AS, SeededEntropy("mails"))
        sent = []
        for one in await self.stores.outbox.list(limit=999):
            decided = await service.decide(open_mail(one.message, sealing))
            await self.stores.outbox.done([one.message.id])
            if isinstance(decided, Decided):
                sent.append(decided.mail)
            elif decided is not None:
                await decided.write(0)
        return sent


@contextlib.asynccontextmanager
async def door(
    folder: Path, *, kind: str = "memory", own: bool = False, **given: Any
) -> AsyncIterator[Door]:
    """The door of a server with Ada, who has no factor yet."""
    place = STORES[kind].place(folder)
    settings = Settings(
        data=folder,
        database_url=place.url,
        session_store_url=place.sessions,
        secret=(SecretStr(SECRET),),
        issuer=ISSUER,
        registration="open",
        mail_url="smtp://localhost:1",
        **given,
    )
    clock = ManualClock()
    made: list[Door] = []

    async def check(credentials: Credentials) -> Subject | None:
        return await made[0].check(credentials)

    async with open_watchword(
        settings,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(),
        hashing=INSECURE_FOR_TESTS,
        authenticate=check if own else None,
        background=False,
    ) as engine:
        made.append(Door(engine, clock))
        await made[0].make_user()
        yield made[0]


async def stopped(call: Awaitable[object]) -> SecondFactorRequired:
    """What a call raised that was stopped at the gate."""
    try:
        await call
    except SecondFactorRequired as error:
        return error
    raise AssertionError("it was not stopped")


async def outcome(call: Awaitable[object]) -> str:
    """`ok`, or the code of the error."""
    try:
        await call
    except WatchwordError as error:
        return error.code
    return "ok"


def presented(tokens: TokenSet, **given: Any) -> Any:
    """How the refresh token of a session comes."""
    return {
        "client_id": tokens.session.client_id,
        "address": HERE,
        "cookie": tokens.session.cookie,
        **given,
    }


def token_of(mails: list[Mail]) -> str:
    """The token of the one mail that has one."""
    (token,) = [mail.token for mail in mails if mail.token]
    return token
