"""Reset, change of address and its way back, notices, deletion: stories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.self_service import SelfService
from watchword.config import Settings
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.session import Authenticated, SessionOptions, TokenSet
from watchword.errors import (
    ConfirmationInvalid,
    EmailInvalid,
    EmailTaken,
    InvalidCredentials,
    InvalidRequest,
    LastAdmin,
    NameInvalid,
    NotFound,
    PasswordRejected,
    SessionRevoked,
    Throttled,
    WatchwordError,
)
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, Mail, MailPurpose, open_mail
from watchword.mail.sender import Decided, Replaced
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType
from watchword.ports.credentials import Credential, CredentialKind
from watchword.ports.outbox import Lane, MessageKind
from watchword.testing import ManualClock, SeededEntropy

SECRET = "s" * 40
PASSWORD = "correct horse battery staple 41"
OTHER = "another horse battery staple 42"
A, B, C = "ada.lovelace@a.example", "thief@b.example", "third@c.example"
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

    async def told(self, mail: Mail) -> Mail | None:
        """What the sender makes of a mail."""
        decided = await self.service.decide(mail)
        assert not isinstance(decided, Replaced)
        if decided is None or (decided.write and not await decided.write()):
            return None
        return decided.mail

    async def answered(self) -> list[Mail]:
        """What waits once resets that were asked for have become granted ones."""
        outbox = self.engine.stores.outbox
        for row, mail in zip(
            await outbox.list(limit=999), await self.waiting(), strict=True
        ):
            decided = await self.service.decide(mail)
            if isinstance(decided, Replaced):
                await decided.write(0)
                await outbox.done([row.message.id])
        return await self.waiting()

    async def mails(self) -> list[Mail]:
        """What the sender sends now."""
        outbox = self.engine.stores.outbox
        sent = [await self.told(mail) for mail in await self.answered()]
        await outbox.done([one.message.id for one in await outbox.list(limit=999)])
        return [mail for mail in sent if mail is not None]

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


async def test_asking_reads_no_account(
    world: World, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked is written, for known and unknown alike: one row of the outbox."""
    store = world.engine.stores.accounts
    for verb in ("by_email", "by_name", "by_id", "list"):
        monkeypatch.setattr(store, verb, None)
    for email in (ada.email or "", "nobody@a.example"):
        await world.recovery.ask(email, address=THERE)
    rows = await world.engine.stores.outbox.list(limit=9)
    assert [(one.message.lane, one.message.account_id) for one in rows] == [
        (Lane.UNKNOWN, None)
    ] * 2
    assert len({len(one.message.sealed) for one in rows}) <= 2
    assert await world.engine.stores.confirmations.of_account(ada.id) == []


@pytest.mark.parametrize("why", ["unknown", "unconfirmed", "disabled", "late"])
async def test_reset_is_mailed_to_the_address_of_an_account_alone(
    world: World, ada: Account, why: str
) -> None:
    """To a confirmed address of an account that may sign in, while it would work."""
    bob = await world.account("bob", None)
    await world.changes.assign(bob.id, B, confirmed=False, by=OPERATOR)
    await world.mails()
    if why == "disabled":
        await world.accounts.disable(ada.id)
    await world.recovery.ask({"unknown": C, "unconfirmed": B}.get(why, A))
    if why == "late":
        world.clock.advance(limits.RESET_LIFE)
    assert await world.mails() == []


async def test_reset_is_mailed_to_the_stored_spelling(
    world: World, ada: Account
) -> None:
    """Its lane is that of confirmed addresses, its language the account's."""
    await world.accounts.update_profile(ada.id, locale="de")
    await world.recovery.ask("Ada.Lovelace@A.example")
    (granted,) = await world.answered()
    decided = await world.service.decide(granted)
    assert isinstance(decided, Decided)
    assert (decided.lane, decided.mail.to) == (Lane.CONFIRMED, A)
    assert decided.mail.locale == "de"


async def test_mail_that_is_sent_again_revives_no_token(
    world: World, ada: Account
) -> None:
    """The mail server took the mail, and its answer was lost. The token was used."""
    await world.recovery.ask(A)
    (mail,) = await world.answered()
    assert await world.told(mail)
    assert await world.told(mail)  # it failed before anything was used
    await world.recovery.reset(mail.token, OTHER)
    assert await world.told(mail) is None
    with pytest.raises(ConfirmationInvalid):
        await world.recovery.reset(mail.token, PASSWORD)


async def test_reset_is_not_lost_with_the_process_that_sends_it(
    world: World, ada: Account
) -> None:
    """It dies once the reset is granted. Another one sends it when it is due."""
    await world.recovery.ask(A)
    (mail,) = await world.waiting()
    replaced = await world.service.decide(mail)
    assert isinstance(replaced, Replaced)
    due = world.clock() + limits.MAIL_LEASE
    granted = await replaced.write(due)
    outbox = world.engine.stores.outbox
    early = await outbox.lease(MessageKind.MAIL, due - 1, due, 9)
    assert granted.id not in {one.message.id for one in early}
    late = await outbox.lease(MessageKind.MAIL, due, due + 1, 9)
    assert granted in [one.message for one in late]
    (told,) = [one for one in await world.waiting() if one.token]
    assert await world.told(told)
    await world.recovery.reset(told.token, OTHER)


async def test_refused_password_spends_nothing(world: World, ada: Account) -> None:
    """Nor does a look at the token, as the page does it before its button."""
    token = await world.asked()
    for refused in ("short", A, A.upper()):
        with pytest.raises(PasswordRejected):
            await world.recovery.reset(token, refused)
    for _ in range(3):
        link = await world.service.links.look(token)
        assert (link.address, link.account_id) == ("a•••@a.example", ada.id)
    await world.recovery.reset(token, OTHER)
    with pytest.raises(ConfirmationInvalid):
        await world.service.links.look(token)


@pytest.mark.parametrize("why", ["used", "late", "disabled", "deleted", "moved", "odd"])
async def test_token_that_does_not_work_has_one_answer(
    world: World, ada: Account, why: str
) -> None:
    """Used, run out, of an account that is gone, mailed to another address, none."""
    token = await world.asked()
    if why == "used":
        await world.recovery.reset(await world.asked(), OTHER)
    if why == "late":
        world.clock.advance(limits.RESET_LIFE)
    if why == "disabled":
        await world.accounts.disable(ada.id)
    if why == "deleted":
        await world.accounts.delete(ada.id)
    if why == "moved":
        await world.move(ada, B)
    if why == "odd":
        await world.changes.ask(ada.id, B, by=USER)
        token = (await world.mails())[0].token
    with pytest.raises(ConfirmationInvalid):
        await world.recovery.reset(token, PASSWORD)


async def test_of_twenty_resets_one_is_done(world: World, ada: Account) -> None:
    token = await world.asked()
    passwords = [f"{number} horse battery staple {number}" for number in range(20)]
    done = await asyncio.gather(
        *(
            outcome(world.recovery.reset(token, password, address=f"192.0.2.{number}"))
            for number, password in enumerate(passwords)
        )
    )
    assert sorted(done) == ["confirmation_invalid"] * 19 + ["ok"]
    await world.sign_in(password=passwords[done.index("ok")])
    assert (await world.row(ada.id)).epoch == ada.epoch + 1


async def test_account_without_a_password_may_get_one(world: World) -> None:
    """Such as one that was imported."""
    made = await world.accounts.import_hash("ada", "!")
    await world.changes.assign(made.id, A, confirmed=True, by=OPERATOR)
    await world.recovery.reset(await world.asked(), PASSWORD)
    await world.sign_in()


async def test_operator_sends_a_reset(world: World, ada: Account) -> None:
    """To an account with a confirmed address; the audit log says that he did."""
    await world.recovery.send(ada.id, by=OPERATOR)
    token = (await world.mailed(A, MailPurpose.RESET)).token
    assert (await world.events())[-1].detail == OPERATOR.detail(change="reset sent")
    await world.recovery.reset(token, OTHER)
    bob = await world.account("bob", None)
    for account_id in (bob.id, bytes(16)):
        with pytest.raises(NotFound):
            await world.recovery.send(account_id)


async def test_tries_are_counted_by_network_before_their_work(
    world: World, ada: Account
) -> None:
    """Tokens of every kind share one count; what is asked for has another."""
    tries: list[Callable[[], Awaitable[None]]] = [
        lambda: world.recovery.reset("ww_cf_", OTHER, address=THERE),
        lambda: world.changes.confirm("ww_cf_", account_id=ada.id, address=THERE),
        lambda: world.changes.revert("ww_cf_", address=THERE),
    ]
    for number in range(limits.CONFIRM_BURST):
        assert await outcome(tries[number % 3]()) == "confirmation_invalid"
    for one in tries:
        with pytest.raises(Throttled):
            await one()
    for _ in range(limits.ASK_BURST):
        await world.recovery.ask(C, address=HERE)
    with pytest.raises(Throttled):
        await world.recovery.ask("no address", address=HERE)
    with pytest.raises(Throttled):
        await world.changes.ask(ada.id, B, by=USER)


async def outcome(call: Awaitable[Any]) -> str:
    try:
        await call
    except WatchwordError as error:
        return error.code
    return "ok"


# Change of address.


async def test_old_address_stays_until_the_new_one_is_confirmed(
    world: World, ada: Account
) -> None:
    tokens = await world.sign_in()
    await world.changes.ask(ada.id, "Thief@B.example", by=USER)
    assert (await world.row(ada.id)).email == A
    assert await world.changes.waiting(ada.id) == "T•••@b.example"
    token = (await world.mailed("Thief@b.example", MailPurpose.CONFIRM_EMAIL)).token
    await world.changes.confirm(token, account_id=ada.id, address=HERE)
    row = await world.row(ada.id)
    assert (row.name, row.email, row.email_key) == ("ada", "Thief@b.example", B)
    assert row.email_confirmed_at == world.clock()
    assert await world.changes.waiting(ada.id) == ""
    back = await world.mailed(A, MailPurpose.EMAIL_CHANGED)
    assert back.masked == "T•••@b.example"
    assert not await world.has_ended(tokens)


async def test_new_address_is_confirmed_by_session_or_password(
    world: World, ada: Account
) -> None:
    """The mailbox alone is not enough, and a wrong password is a failed sign-in."""
    bob = await world.account("bob", None)
    await world.changes.ask(ada.id, B, by=USER)
    token = (await world.mails())[0].token
    with pytest.raises(ConfirmationInvalid):
        await world.changes.confirm(token, account_id=bob.id)
    for password in ("", OTHER):
        with pytest.raises(InvalidCredentials):
            await world.changes.confirm(token, password=password, address=THERE)
    failed = (await world.events())[-1]
    assert (failed.type, failed.account_id) == (EventType.SIGN_IN_FAILED, ada.id)
    await world.changes.confirm(token, password=PASSWORD, address=THERE)
    assert (await world.row(ada.id)).email == B


@pytest.mark.parametrize("how", ["reset", "change"])
async def test_what_a_thief_asked_for_dies_with_the_password(
    world: World, ada: Account, how: str
) -> None:
    """Or the owner, signed in again, could be led to press the button of its link."""
    await world.changes.ask(ada.id, B, by=USER)
    pending = (await world.mailed(B, MailPurpose.CONFIRM_EMAIL)).token
    reset = await world.asked()
    if how == "reset":
        await world.recovery.reset(await world.asked(), OTHER)
    else:
        await world.accounts.set_password(ada.id, OTHER, by=USER)
    for call in (
        world.changes.confirm(pending, account_id=ada.id),
        world.recovery.reset(reset, PASSWORD),
    ):
        assert await outcome(call) == "confirmation_invalid"
    assert await world.changes.waiting(ada.id) == ""


async def test_name_that_is_the_address_moves_with_it(world: World) -> None:
    """There and back again."""
    ada = await world.account(A, A)
    back = await world.move(ada, B)
    assert (await world.row(ada.id)).name == B
    await world.changes.revert(back)
    assert (await world.row(ada.id)).name == A


async def test_first_address_has_no_way_back(world: World) -> None:
    bob = await world.account("bob", None)
    await world.changes.ask(bob.id, B, by=USER)
    token = (await world.mails())[0].token
    await world.changes.confirm(token, account_id=bob.id)
    assert await world.mails() == []
    assert await world.engine.stores.confirmations.of_account(bob.id) == []


async def test_address_of_another_account_is_taken(world: World, ada: Account) -> None:
    """When it is asked for, and when it is confirmed: then nothing is spent."""
    bob = await world.account("bob", B)
    cyd = await world.account(C, None)
    for account_id, email in ((ada.id, B), (ada.id, C), (ada.id, A)):
        with pytest.raises(EmailTaken):
            await world.changes.ask(account_id, email, by=USER)
    await world.accounts.delete(cyd.id)
    await world.changes.ask(ada.id, C, by=USER)
    token = (await world.mailed(C, MailPurpose.CONFIRM_EMAIL)).token
    with pytest.raises(EmailTaken):  # held for the account that had it as its name
        await world.changes.confirm(token, account_id=ada.id)
    world.clock.advance(limits.HELD_FOR)
    await world.engine.stores.backend.sweep(world.clock(), 99)
    await world.changes.ask(ada.id, C, by=USER)
    token = (await world.mailed(C, MailPurpose.CONFIRM_EMAIL)).token
    await world.changes.assign(bob.id, C, confirmed=True, by=OPERATOR)
    with pytest.raises(EmailTaken):
        await world.changes.confirm(token, account_id=ada.id)
    assert await world.changes.waiting(ada.id) == "t•••@c.example"


# The way back.


@pytest.mark.parametrize("reset", ["", OTHER])
async def test_old_address_takes_the_account_back(
    world: World, ada: Account, reset: str
) -> None:
    """From A to B to C, with a reset in between: A has the last word for a week."""
    to_a = await world.move(ada, B)
    if reset:
        await world.recovery.reset(await world.asked(B), reset)
    world.clock.advance(-limits.SECOND)  # a server's clock is set back
    to_b = await world.move(ada, C)
    await world.changes.ask(ada.id, "fourth@d.example", by=USER)
    pending = (await world.mails())[0].token
    resets = await world.asked(C)
    thief = await world.sign_in(password=reset or PASSWORD)
    before = await world.row(ada.id)
    world.clock.advance(limits.REVERT_LIFE - limits.DAY + limits.HOUR)
    await world.changes.revert(to_a, address=THERE)
    row = await world.row(ada.id)
    assert (row.name, row.email, row.email_key) == ("ada", A, A)
    assert row.epoch == before.epoch + 1
    assert await world.has_ended(thief)
    for call in (
        world.changes.revert(to_a),
        world.changes.revert(to_b),
        world.changes.confirm(pending, account_id=ada.id),
        world.recovery.reset(resets, OTHER),
        world.recovery.reset(resets, OTHER),
    ):
        assert await outcome(call) == "confirmation_invalid"
    for password in (PASSWORD, OTHER):
        assert await outcome(world.sign_in(password=password)) == "invalid_credentials"
    sent = await world.mails()
    assert {(one.to, one.purpose) for one in sent} == {
        (A, MailPurpose.RESET),
        (C, MailPurpose.EMAIL_CHANGED),
        (B, MailPurpose.EMAIL_CHANGED),
    }
    (token,) = [one.token for one in sent if one.token]
    await world.recovery.reset(token, OTHER)
    await world.sign_in(password=OTHER)


async def test_the_way_back_takes_the_factors_of_a_thief_along(
    world: World, ada: Account
) -> None:
    """An older factor stays, and its codes; new codes of the thief do not."""
    factors = world.engine.second_factors.factors

    async def add(factor_id: bytes) -> None:
        row = Credential(
            id=factor_id,
            account_id=ada.id,
            kind=CredentialKind.TOTP,
            created_at=world.clock(),
        )
        await factors.add(ada.id, row, keep_session=bytes(16), by=USER)

    await add(b"the owner's     ")
    world.clock.advance(limits.SECOND)
    first = await world.move(ada, B)
    await add(b"the thief's     ")
    second = await world.move(ada, C)
    left = await factors.of(ada.id)
    assert (len(left.factors), left.codes_left) == (2, limits.RECOVERY_CODES)
    await world.changes.revert(first)
    left = await factors.of(ada.id)
    assert [one.id for one in left.factors] == [b"the owner's     "]
    assert left.codes_left == limits.RECOVERY_CODES
    assert await outcome(world.changes.revert(second)) == "confirmation_invalid"
    await factors.reset(ada.id)
    thief = await world.move(ada, B)
    await add(b"only the thief's")
    await world.changes.revert(thief)
    assert await world.engine.stores.credentials.of_account(ada.id) == []


async def test_way_back_is_open_for_a_week(world: World, ada: Account) -> None:
    """As long, its address is no other account's, not even by an operator's word."""
    to_a = await world.move(ada, B)
    bob = await world.account("bob", None)
    world.clock.advance(limits.REVERT_LIFE - 1)
    with pytest.raises(EmailTaken):
        await world.changes.assign(bob.id, A, confirmed=True, by=OPERATOR)
    await world.service.links.look(to_a)
    world.clock.advance(1)
    with pytest.raises(ConfirmationInvalid):
        await world.changes.revert(to_a)
    await world.engine.stores.backend.sweep(world.clock(), 99)
    await world.changes.assign(bob.id, A, confirmed=True, by=OPERATOR)
    assert (await world.row(ada.id)).email == B


async def test_way_back_takes_no_earlier_one_along(world: World, ada: Account) -> None:
    """A thief that goes back to B, which is his, leaves A its own."""
    to_a = await world.move(ada, B)
    to_b = await world.move(ada, C)
    await world.changes.revert(to_b)
    await world.mails()
    await world.changes.revert(to_a)
    assert (await world.row(ada.id)).email == A


async def test_notices_go_to_every_way_back(world: World, ada: Account) -> None:
    """A thief that has the account is not the only one to hear what becomes of it."""
    await world.move(ada, B)
    await world.changes.ask(ada.id, C, by=USER)
    token = (await world.mails())[0].token
    await world.changes.confirm(token, account_id=ada.id)
    moved = await world.mails()
    assert {(one.to, bool(one.token), one.masked) for one in moved} == {
        (A, False, "t•••@c.example"),
        (B, True, "t•••@c.example"),
    }
    await world.accounts.set_password(ada.id, OTHER, by=USER)
    told = {(one.to, one.purpose) for one in await world.mails()}
    assert told == {(to, MailPurpose.PASSWORD_CHANGED) for to in (A, B, C)}
    world.clock.advance(limits.REVERT_LIFE)
    await world.accounts.set_password(ada.id, PASSWORD, by=USER)
    assert [one.to for one in await world.mails()] == [C]


# What an operator does.


async def test_operator_gives_an_address(world: World, ada: Account) -> None:
    """Confirmed at once, and the old address is told: it has no way back."""
    await world.changes.assign(ada.id, B, confirmed=True, by=OPERATOR)
    assert (await world.accounts.get_by_email("Thief@b.example")).id == ada.id
    (notice,) = await world.mails()
    assert (notice.to, notice.masked, notice.token) == (A, "t•••@b.example", "")
    assert await world.engine.stores.confirmations.of_account(ada.id) == []
    with pytest.raises(EmailInvalid):
        await world.changes.assign(ada.id, "no address", confirmed=True, by=OPERATOR)


async def test_address_without_proof_waits(world: World, ada: Account) -> None:
    """Another account may take it meanwhile. One that is proved stays as it is."""
    bob = await world.account("bob", None)
    await world.changes.assign(bob.id, B, confirmed=False, by=OPERATOR)
    await world.changes.assign(ada.id, C, confirmed=False, by=OPERATOR)
    shown = await world.row(bob.id)
    assert (shown.email, shown.email_key, shown.email_confirmed_at) == (B, None, None)
    assert (await world.row(ada.id)).email == A
    sent = await world.mails()
    assert {(one.to, one.purpose) for one in sent} == {
        (B, MailPurpose.CONFIRM_EMAIL),
        (C, MailPurpose.CONFIRM_EMAIL),
    }
    (token,) = [one.token for one in sent if one.to == B]
    await world.changes.assign(ada.id, B, confirmed=True, by=OPERATOR)
    with pytest.raises(EmailTaken):
        await world.changes.confirm(token, account_id=bob.id)


# How often.


@pytest.mark.parametrize("what", ["profile", "password", "address"])
async def test_a_user_changes_an_account_a_few_times_an_hour(
    world: World, ada: Account, what: str
) -> None:
    """Each kind by itself, and a reset not at all: its owner needs that.

    Otherwise one user takes all names, since those that are let go are held; a user's
    notices keep the mail of others waiting; and a thief who changes the account all the
    time keeps every other change of it from being written.
    """
    password = iter(range(99))

    async def change(kind: str) -> None:
        number = next(password)
        if kind == "profile":
            name = f"ada-{number}"
            await world.accounts.update_profile(ada.id, username=name, by=USER)
        elif kind == "address":
            await world.changes.ask(ada.id, f"x{number}@x.example", by=USER)
        else:
            epoch = (await world.row(ada.id)).epoch
            proved = Authenticated.by_password(ada.id, ada.roles, epoch, at=0)
            new = f"{OTHER} {number}"
            await world.accounts.set_password(ada.id, new, proved=proved, by=USER)

    for _ in range(limits.ACCOUNT_CHANGE_BURST):
        await change(what)
    assert await outcome(change(what)) == "throttled"
    for kind in {"profile", "password", "address"} - {what}:
        await change(kind)
    await world.mails()
    await world.recovery.reset(await world.asked(), OTHER)
    await world.accounts.update_profile(ada.id, username="by-an-operator", by=OPERATOR)
    world.clock.advance(limits.ACCOUNT_CHANGE_INTERVAL)
    await change(what)
    assert await outcome(change(what)) == "throttled"


async def test_an_account_has_few_ways_back(world: World, ada: Account) -> None:
    """Each of them gets every notice, before the mail of others."""
    first = await world.move(ada, "x0@x.example")
    for number in range(1, limits.WAYS_BACK_MAX):
        await world.move(ada, f"x{number}@x.example")
    with pytest.raises(Throttled):
        await world.changes.ask(ada.id, "last@x.example", by=USER)
    await world.changes.revert(first)
    await world.mails()
    assert (await world.row(ada.id)).email == A
    await world.move(ada, "last@x.example")


# Profile, deletion, the last admin.


@pytest.mark.parametrize(
    ("given", "by", "expected"),
    [
        ({"locale": "de"}, USER, ("ada", "de")),
        ({"locale": "tlh"}, USER, ("ada", "en")),
        ({"username": "Ada.L"}, USER, ("ada.l", "en")),
        ({"username": ""}, USER, (A, "en")),
        ({"username": "admin"}, USER, NameInvalid),
        ({"username": "bob@b.example"}, USER, NameInvalid),
        ({"username": "admin"}, OPERATOR, ("admin", "en")),
        ({"username": "bob"}, USER, "name_taken"),
    ],
)
async def test_profile(
    world: World, ada: Account, given: dict[str, str], by: By, expected: Any
) -> None:
    """Language and name; a user's name follows the rules of self-service."""
    await world.account("bob", None)
    if not isinstance(expected, tuple):
        code = expected if isinstance(expected, str) else expected.code
        call = world.accounts.update_profile(ada.id, **given, by=by)
        assert await outcome(call) == code
        expected = ("ada", "en")
    else:
        row = await world.accounts.update_profile(ada.id, **given, by=by)
        assert row == await world.row(ada.id)
    row = await world.row(ada.id)
    assert (row.name, row.locale, row.email) == (*expected, A)


async def test_account_without_an_address_needs_a_name(world: World) -> None:
    bob = await world.account("bob", None)
    with pytest.raises(InvalidRequest):
        await world.accounts.update_profile(bob.id, username="")


async def test_deletion_leaves_nothing(world: World, ada: Account) -> None:
    """Its addresses are told, what waits for it is not sent, the log has no address."""
    to_a = await world.move(ada, B)
    await world.changes.ask(ada.id, C, by=USER)
    await world.recovery.ask(B)
    await world.recovery.send(ada.id)
    tokens = await world.sign_in()
    assert await world.accounts.delete(ada.id, by=USER) == 1
    assert await world.has_ended(tokens)
    stores = world.engine.stores
    assert await stores.accounts.by_id(ada.id) is None
    assert await stores.confirmations.of_account(ada.id) == []
    sent = await world.mails()
    assert {(one.to, one.purpose) for one in sent} == {
        (A, MailPurpose.ACCOUNT_DELETED),
        (B, MailPurpose.ACCOUNT_DELETED),
    }
    with pytest.raises(ConfirmationInvalid):
        await world.changes.revert(to_a)
    written = repr(await world.events())
    assert not any(email.partition("@")[0] in written for email in (A, B, C))
    assert (await world.events())[-1].account_id == ada.id


async def test_last_admin_stays(world: World) -> None:
    """Neither deleted nor disabled, until there is another one that is enabled."""
    first = await world.account("first", None, roles=["admin"])
    second = await world.account("second", None, roles=["admin"])
    await world.accounts.disable(second.id)
    for verb in (world.accounts.disable, world.accounts.delete):
        with pytest.raises(LastAdmin):
            await verb(first.id)
    assert await world.row(first.id) == first
    await world.accounts.delete(second.id)
    third = await world.account("third", None, roles=["reader", "admin"])
    await world.accounts.delete(first.id)
    with pytest.raises(LastAdmin):
        await world.accounts.disable(third.id)


@pytest.mark.parametrize("learnt_later", ["", "https://id.example.org"])
async def test_where_no_mail_can_be_sent_none_waits(
    tmp_path: Path, learnt_later: str
) -> None:
    """And what needs a mail is not there; an app may learn its address later."""
    settings = Settings(
        data=tmp_path,
        database_url="memory:",
        issuer="http://127.0.0.1" if learnt_later else "https://id.example.org",
        secret=(SecretStr(SECRET),),
    )
    async with open_watchword(
        settings, hashing=INSECURE_FOR_TESTS, background=False
    ) as engine:
        if learnt_later:
            engine.issue_as(learnt_later)
        service = engine.self_service
        assert service is not None
        ada = await engine.accounts.register("ada", PASSWORD)
        changes = service.email_changes
        await changes.assign(ada.id, A, confirmed=True, by=OPERATOR)
        await engine.accounts.set_password(ada.id, OTHER)
        for call in (
            service.recovery.ask(A),
            service.recovery.send(ada.id),
            changes.ask(ada.id, B, by=USER),
            changes.assign(ada.id, B, confirmed=False, by=OPERATOR),
        ):
            assert await outcome(call) == "not_found"
        assert await engine.stores.outbox.list(limit=9) == []
