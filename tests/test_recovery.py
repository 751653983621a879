"""Reset, change of address and its way back, notices, deletion: stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.self_service import SelfService
from watchword.config import Settings
from watchword.core.actor import Actor, By
from watchword.core.session import SessionOptions, TokenSet
from watchword.errors import (
    InvalidCredentials,
    SessionRevoked,
)
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, Mail, MailPurpose, open_mail
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType
from watchword.testing import ManualClock, SeededEntropy

SECRET = "s" * 40
PASSWORD = "correct horse battery staple 41"
OTHER = "another horse battery staple 42"
A, B, C = "ada@a.example", "thief@b.example", "third@c.example"
HERE, THERE = "192.0.2.1", "203.0.113.9"
USER = By(Actor.USER, HERE)
OPERATOR = By(Actor.OPERATOR, name="root")


class World:
    """An engine with the account ada, and the mail that it sends."""

    def __init__(self, engine: Watchword, clock: ManualClock) -> None:
        service = engine.self_service
        assert service is not None
        self.engine = engine
        self.clock = clock
        self.accounts = engine.accounts
        self.service: SelfService = service
        self.recovery = service.recovery
        self.changes = service.email_changes

    async def waiting(self) -> list[Mail]:
        """What waits in the outbox, as it was written."""
        sealing = Sealing([SECRET.encode()], SEALED_AS, SeededEntropy("mails"))
        rows = await self.engine.stores.outbox.list(limit=999)
        return [open_mail(one.message, sealing) for one in rows]

    async def mails(self) -> list[Mail]:
        """What the sender sends now."""
        sent = []
        for mail in await self.waiting():
            decided = await self.service.decide(mail)
            if decided is not None and (decided.write is None or await decided.write()):
                sent.append(decided.mail)
        ids = [
            one.message.id for one in await self.engine.stores.outbox.list(limit=999)
        ]
        await self.engine.stores.outbox.done(ids)
        return sent

    async def mailed(self, to: str, purpose: MailPurpose) -> Mail:
        """The one mail to that address for that purpose, of those sent now."""
        (found,) = [
            one for one in await self.mails() if (one.to, one.purpose) == (to, purpose)
        ]
        return found

    async def account(self, name: str, email: str | None, **given: Any) -> Account:
        made = await self.accounts.register(name, PASSWORD, **given)
        if email is not None:
            await self.changes.assign(made.id, email, confirmed=True, by=OPERATOR)
        return await self.row(made.id)

    async def row(self, account_id: bytes) -> Account:
        found = await self.engine.stores.accounts.by_id(account_id)
        assert found is not None
        return found

    async def sign_in(self, name: str = "ada", password: str = PASSWORD) -> TokenSet:
        return await self.engine.sign_in.by_password(
            name, password, SessionOptions(client_id="first-party"), address=HERE
        )

    async def has_ended(self, tokens: TokenSet) -> bool:
        try:
            await self.engine.sessions.refresh(
                tokens.refresh_token, client_id="first-party"
            )
        except SessionRevoked:
            return True
        return False

    async def asked(self, email: str = A) -> str:
        """The token of a reset that was asked for."""
        await self.recovery.ask(email, address=THERE)
        (mail,) = await self.mails()
        return mail.token

    async def move(self, account: Account, to: str) -> str:
        """Change the address, and return the token of the way back to the old one."""
        old = (await self.row(account.id)).email
        await self.changes.ask(account.id, to, by=USER)
        token = (await self.mailed(to, MailPurpose.CONFIRM_EMAIL)).token
        await self.changes.confirm(token, account_id=account.id)
        (back,) = [one for one in await self.mails() if one.to == old and one.token]
        assert back.purpose is MailPurpose.EMAIL_CHANGED
        return back.token

    async def events(self) -> list[Event]:
        return [event for _, event in await self.engine.stores.audit.read(0, 999)]


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    memory = request.param == "memory"
    settings = Settings(
        data=tmp_path,
        database_url="memory:" if memory else f"sqlite:///{tmp_path}/a.db",
        secret=(SecretStr(SECRET),),
    )
    clock = ManualClock()
    async with open_watchword(
        settings,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(),
        hashing=INSECURE_FOR_TESTS,
        background=False,
    ) as engine:
        yield World(engine, clock)


@pytest.fixture
async def ada(world: World) -> Account:
    """An account with a name and a confirmed address."""
    account = await world.account("ada", A)
    assert await world.mails() == []
    return account


# Reset.


async def test_reset_gives_a_new_password_and_no_session(
    world: World, ada: Account
) -> None:
    """All sessions end, a notice is mailed, and nothing but the password is new."""
    thief = await world.sign_in()
    await world.recovery.reset(await world.asked(), OTHER, address=THERE)
    assert await world.has_ended(thief)
    (notice,) = await world.mails()
    assert (notice.to, notice.purpose) == (A, MailPurpose.PASSWORD_CHANGED)
    changed = [e for e in await world.events() if e.type is EventType.PASSWORD_CHANGED]
    assert [(e.account_id, e.address, e.detail["by"]) for e in changed] == [
        (ada.id, THERE, "user")
    ]
    with pytest.raises(InvalidCredentials):
        await world.sign_in()
    assert not await world.has_ended(await world.sign_in(password=OTHER))
