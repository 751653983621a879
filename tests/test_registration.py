"""Registration and invitation: the mailbox and the one who asked, proved together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from pydantic import SecretStr

from tests.servers.stores import STORES
from watchword.accounts.registration_rules import RegistrationRequest
from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.self_service import SelfService
from watchword.config import Settings
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.session import Authenticated, SessionOptions
from watchword.errors import (
    ConfirmationInvalid,
    EmailInvalid,
    EmailTaken,
    InvalidCredentials,
    NameInvalid,
    NameTaken,
    NotFound,
    PasswordRejected,
    RegistrationRefused,
    StoreUnavailable,
    Throttled,
    WatchwordError,
)
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, Mail, MailPurpose, open_mail
from watchword.mail.sender import Decided
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import EventType
from watchword.ports.outbox import MessageKind
from watchword.testing import ManualClock, SeededEntropy

SECRET = "s" * 40
PASSWORD = "correct horse battery staple 41"
OTHER = "another horse battery staple 42"
VICTIM, THIEF = "192.0.2.1", "203.0.113.9"
ALICE = "alice@example.org"
OPERATOR = By(Actor.OPERATOR, name="root")


class World:
    """An engine that takes registrations, and the mail that it would send."""

    def __init__(self, engine: Watchword, clock: ManualClock) -> None:
        service = engine.self_service
        assert service is not None
        self.engine = engine
        self.clock = clock
        self.service: SelfService = service
        self.ask = service.registrations.ask
        self.resend = service.registrations.resend
        self.confirm = service.registrations.confirm
        self.invite = service.invitations.invite
        self.accept = service.invitations.accept

    async def mails(self) -> list[Mail]:
        """What the sender would send now, as it decides it."""
        sealing = Sealing([SECRET.encode()], SEALED_AS, SeededEntropy("mails"))
        outbox, now = self.engine.stores.outbox, self.clock()
        sent = []
        while leased := await outbox.lease(MessageKind.MAIL, now, now + 1, 100):
            for one in leased:
                mail = open_mail(one.message, sealing)
                decided = await self.service.decide(mail)
                await outbox.done([one.message.id])
                if not isinstance(decided, Decided):
                    continue
                if decided.write is None or await decided.write():
                    sent.append(decided.mail)
        return sent

    async def register(self, email: str = ALICE, **given: Any) -> tuple[str, str]:
        """The handle of a registration, and the token that was mailed for it."""
        handle = await self.ask(email, **{"password": PASSWORD, **given})
        (mail,) = [one for one in await self.mails() if one.token]
        return handle, mail.token

    async def account(self, email: str = ALICE, **given: Any) -> Authenticated:
        handle, token = await self.register(email, **given)
        return await self.confirm(token, handles=[handle])

    async def invited(self, email: str = ALICE, *roles: str) -> str:
        """The token of an invitation."""
        await self.invite(email, roles=roles, by=OPERATOR)
        (mail,) = [one for one in await self.mails() if one.token]
        return mail.token

    async def names(self) -> list[str]:
        return [one.name for one in await self.engine.accounts.list()]

    async def by_email(self, key: str = ALICE) -> Account:
        found = await self.engine.stores.accounts.by_email(key)
        assert found is not None
        return found


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    stores: Stores | None = None,
    clock: ManualClock | None = None,
    hook: Any = None,
    **given: Any,
) -> AsyncIterator[World]:
    """A world on memory, unless other stores or settings are given."""
    settings = Settings(
        **{
            "data": folder,
            "database_url": "memory:",
            "registration": "open",
            "secret": (SecretStr(SECRET),),
            **given,
        }
    )
    clock = clock or ManualClock()
    async with open_watchword(
        settings,
        stores=stores,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(),
        hashing=INSECURE_FOR_TESTS,
        before_registration=hook,
        background=False,
    ) as engine:
        yield World(engine, clock)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as made:
        yield made


# Nothing exists before both are proved.


async def test_an_account_exists_once_mailbox_and_asker_are_proved(
    world: World,
) -> None:
    handle, token = await world.register("Alice@Example.org", username="Alice")
    assert await world.names() == []

    proved = await world.confirm(token, handles=["ww_rg_other", handle])

    account = await world.by_email()
    assert account == msgspec.structs.replace(
        account,
        id=proved.account_id,
        name="alice",
        email="Alice@example.org",
        email_confirmed_at=world.clock(),
        roles=(),
    )
    _, event = (await world.engine.stores.audit.read(0, 9))[-1]
    assert (event.type, event.detail["by"]) == (EventType.ACCOUNT_CREATED, Actor.USER)
    tokens = await world.engine.sign_in.begin(
        proved, SessionOptions(client_id="first-party")
    )
    assert tokens.session.account_id == account.id


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, InvalidCredentials),
        ({"handles": ["ww_rg_" + "A" * 43]}, InvalidCredentials),
        ({"password": OTHER}, InvalidCredentials),
        ({"password": PASSWORD}, None),
    ],
)
async def test_the_mailbox_alone_proves_nothing(
    world: World, given: dict[str, Any], error: type[Exception] | None
) -> None:
    _, token = await world.register()
    if error is not None:
        with pytest.raises(error):
            await world.confirm(token, **given)
        assert await world.names() == []
    else:
        await world.confirm(token, **given)
        assert await world.names() == [ALICE]


async def test_the_mailbox_may_guess_the_askers_password_a_few_times(
    tmp_path: Path,
) -> None:
    """From whatever network; the asker's browser needs no password."""
    async with opened(tmp_path) as world:
        handle, token = await world.register()
        for number in range(limits.THROTTLE_NAME_BURST):
            at = f"198.51.100.{number}"
            with pytest.raises(InvalidCredentials):
                await world.confirm(token, password=OTHER, address=at)
        with pytest.raises(Throttled):
            await world.confirm(token, password=PASSWORD, address=THIEF)
        await world.confirm(token, handles=[handle], address=THIEF)


@pytest.mark.parametrize("why", ["used", "expired", "renewed", "other", "nonsense"])
async def test_a_link_that_is_over_has_one_answer(world: World, why: str) -> None:
    handle, token = await world.register()
    match why:
        case "used":
            await world.confirm(token, handles=[handle])
        case "expired":
            world.clock.advance(limits.REGISTRATION_LIFE)
        case "renewed":
            await world.resend(handle)
            assert await world.mails()
        case "other":
            token = await world.invited("bob@example.org")
        case "nonsense":
            token = "ww_cf_" + "A" * 46
    with pytest.raises(ConfirmationInvalid):
        await world.confirm(token, handles=[handle])


async def test_a_link_that_is_sent_again_works_and_an_unknown_handle_sends_nothing(
    world: World,
) -> None:
    handle, _ = await world.register()
    await world.resend(handle)
    (mail,) = await world.mails()
    assert mail.to == ALICE
    await world.resend("ww_rg_" + "A" * 43)
    await world.resend("\ud800")
    assert await world.mails() == []
    await world.confirm(mail.token, handles=[handle])


async def test_a_mail_that_is_dropped_leaves_the_link_before_it_alive(
    world: World,
) -> None:
    handle, token = await world.register()
    await world.resend(handle)
    (leased,) = await world.engine.stores.outbox.lease(
        MessageKind.MAIL, world.clock(), world.clock() + 1, 1
    )
    sealing = Sealing([SECRET.encode()], SEALED_AS, SeededEntropy())
    assert await world.service.registrations.decide(open_mail(leased.message, sealing))
    await world.confirm(token, handles=[handle])


@pytest.mark.parametrize("spoiled", ["name", "address", "name invalid"])
async def test_what_is_taken_by_then_spends_nothing(world: World, spoiled: str) -> None:
    handle, token = await world.register(username="alice")
    if spoiled == "name":
        await world.engine.accounts.register("alice", PASSWORD)
        with pytest.raises(NameTaken):
            await world.confirm(token, handles=[handle])
        await world.confirm(token, handles=[handle], username="alice.2")
        assert (await world.by_email()).name == "alice.2"
    elif spoiled == "address":
        await world.engine.accounts.register(ALICE, PASSWORD)
        with pytest.raises(EmailTaken):
            await world.confirm(token, handles=[handle])
        assert await world.service.registrations.is_asker(token, [handle])
    else:
        with pytest.raises(NameInvalid):
            await world.confirm(token, handles=[handle], username="support")
        await world.confirm(token, handles=[handle])


# The owner of an account learns of it by mail; the caller learns nothing.


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements of every SQLite connection that is opened from now on."""
    run: list[str] = []

    def note(_: object, statement: str, __: object) -> bool:
        run.append(statement)
        return True

    def watch(connection: apsw.Connection) -> None:
        connection.exec_trace = note

    apsw.connection_hooks.append(watch)
    yield run
    apsw.connection_hooks.remove(watch)


async def test_a_known_and_an_unknown_address_run_the_same_statements(
    tmp_path: Path, statements: list[str]
) -> None:
    async with opened(tmp_path, database_url=f"sqlite:///{tmp_path}/a.db") as world:
        await world.account()
        seen = []
        for email in (ALICE, "bob@example.org"):
            statements.clear()
            handle = await world.ask(email, PASSWORD, address=VICTIM)
            await world.resend(handle, address=VICTIM)
            seen.append(statements.copy())
        assert seen[0] == seen[1]
        assert any("INTO registrations" in one for one in seen[0])
        assert not any("accounts" in one for one in seen[0])
        assert {(mail.to, mail.purpose) for mail in await world.mails()} == {
            (ALICE, MailPurpose.ALREADY_REGISTERED),
            ("bob@example.org", MailPurpose.CONFIRM),
        }


async def test_the_owner_is_written_to_at_the_address_as_it_is_stored(
    world: World,
) -> None:
    await world.account("Alice@example.org", locale="de")
    await world.ask("aLICE@EXAMPLE.org", OTHER, address=THIEF)
    await world.invite("ALICE@example.org", by=OPERATOR)
    found = {mail.purpose: mail for mail in await world.mails()}
    assert found.keys() == {MailPurpose.ALREADY_REGISTERED, MailPurpose.INVITATION}
    for mail in found.values():
        assert (mail.to, mail.locale) == ("Alice@example.org", "de")
    assert not found[MailPurpose.ALREADY_REGISTERED].token


@pytest.mark.parametrize(
    ("wanted", "got"), [("de", "de"), ("", "en"), ("xx", "en"), ("../de", "en")]
)
async def test_a_mail_is_in_a_language_that_has_templates(
    world: World, wanted: str, got: str
) -> None:
    await world.ask(ALICE, PASSWORD, locale=wanted)
    assert [mail.locale for mail in await world.mails()] == [got]


# A stranger who registers the victim's address.


async def test_a_strangers_password_dies_with_his_registration(world: World) -> None:
    thief, _ = await world.register(password=OTHER, username="eve", address=THIEF)
    handle, token = await world.register(address=VICTIM)

    await world.confirm(token, handles=[handle])

    assert await world.names() == [ALICE]
    await world.resend(thief)
    assert await world.mails() == []
    with pytest.raises(InvalidCredentials):
        await world.engine.sign_in.check_password(ALICE, OTHER)


async def test_a_strangers_posts_do_not_replace_the_victims_own(world: World) -> None:
    handle, token = await world.register(address=VICTIM)
    for place in (*range(1, limits.REGISTRATIONS_PER_ADDRESS), *[1] * 9):
        await world.ask(ALICE, OTHER, address=f"203.0.113.{place}")
    await world.confirm(token, handles=[handle], address=VICTIM)
    await world.engine.sign_in.check_password(ALICE, PASSWORD)


async def test_of_two_registrations_of_an_address_the_first_confirmed_wins(
    world: World,
) -> None:
    first = await world.register(address=VICTIM)
    second = await world.register(password=OTHER, address=THIEF)
    outcomes = await asyncio.gather(
        *(world.confirm(token, handles=[handle]) for handle, token in (first, second)),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [Authenticated, ConfirmationInvalid]
    assert await world.names() == [ALICE]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("way", ["confirm", "accept"])
async def test_twenty_at_once_make_one_account(
    kind: str, way: str, tmp_path: Path
) -> None:
    stores = await STORES[kind].place(tmp_path).open("store")
    async with opened(tmp_path, stores=stores) as world:
        if way == "confirm":
            handle, token = await world.register()
            calls = [world.confirm(token, handles=[handle]) for _ in range(20)]
        else:
            token = await world.invited()
            calls = [world.accept(token, PASSWORD) for _ in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [one for one in outcomes if isinstance(one, Authenticated)] != []
        failed = [one for one in outcomes if not isinstance(one, Authenticated)]
        assert [type(one) for one in failed] == [ConfirmationInvalid] * 19
        assert await world.names() == [ALICE]


# What an address and a name may be.


@pytest.mark.parametrize(
    ("email", "error"),
    [
        ("al\u0131ce@example.org", EmailInvalid),  # dotless i
        ("\u212aate@example.org", EmailInvalid),  # sign for Kelvin
        ("\ufb01n@example.org", EmailInvalid),  # ligature
        ("e\u0301ve@example.org", EmailInvalid),  # combining accent
        ("al\u200bice@example.org", EmailInvalid),  # zero width
        ("a@b@example.org", EmailInvalid),
        ("alice@example.org\r\nBcc: eve@example.org", EmailInvalid),
        ("alice@EXAMPLE.org", None),
        ("ALICE@example.\uff4frg", None),  # full width, by UTS 46
    ],
)
async def test_addresses_that_look_alike_are_one_or_are_refused(
    world: World, email: str, error: type[Exception] | None
) -> None:
    await world.account()
    if error is not None:
        with pytest.raises(error):
            await world.ask(email, PASSWORD)
    else:
        await world.ask(email, PASSWORD)
        purposes = [mail.purpose for mail in await world.mails()]
        assert purposes == [MailPurpose.ALREADY_REGISTERED]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "al\u0131ce",
            "\u212aate",
            "\ufb01n",
            "e\u0301ve",
            "stra\xdfe",
            "al\u200bice",
        ),
        *("admin", "Root", "sup-port", "ad.min", "bob@example.org", "a b", "", "."),
        *("\uff41lice", " alice", "alice\n", "a" * (limits.CHOSEN_NAME_MAX + 1)),
    ],
)
async def test_a_user_chooses_a_plain_name_that_is_not_reserved(
    world: World, name: str
) -> None:
    with pytest.raises(NameInvalid):
        await world.ask(ALICE, PASSWORD, username=name)


async def test_a_name_that_is_anothers_address_cannot_be_had_by_an_address(
    world: World,
) -> None:
    await world.engine.accounts.register("bob@example.org", PASSWORD)
    handle, token = await world.register("BOB@example.org")
    with pytest.raises(EmailTaken):
        await world.confirm(token, handles=[handle])


@pytest.mark.parametrize("password", [ALICE, ALICE.upper(), "alice-with-a-long-name"])
async def test_a_password_is_no_name_of_its_account(
    world: World, password: str
) -> None:
    with pytest.raises(PasswordRejected):
        await world.ask(ALICE, password, username="alice-with-a-long-name")


async def test_only_addresses_of_the_domains_that_are_set_register(
    tmp_path: Path,
) -> None:
    domains = "example.org, b\xfccher.example"
    async with opened(tmp_path, registration_domains=domains) as world:
        await world.ask("bob@xn--bcher-kva.example", PASSWORD)
        for other in ("bob@sub.example.org", "bob@example.com"):
            with pytest.raises(EmailInvalid):
                await world.ask(other, PASSWORD)
        # Nor does an account leave them afterwards, except by an operator's word.
        await world.mails()
        account = await world.account(ALICE)
        change = world.service.email_changes.ask
        with pytest.raises(EmailInvalid):
            await change(account.account_id, "alice@example.com", by=By(Actor.USER))
        await change(account.account_id, "al@example.org", by=By(Actor.USER))
        await change(account.account_id, "alice@example.com", by=OPERATOR)


# Where it is closed, and how often it may be tried.


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        ({"registration": "closed"}, set()),
        ({"registration": "invited"}, {"invite"}),
        ({"registration": "open"}, {"ask", "resend", "invite"}),
        ({"registration": "open", "issuer": "https://auth.example"}, set()),
    ],
)
async def test_registration_and_invitation_are_there_where_they_are_let(
    tmp_path: Path, given: dict[str, Any], ways: set[str]
) -> None:
    async with opened(tmp_path, **given) as world:
        tried = {
            "ask": world.ask(ALICE, PASSWORD),
            "resend": world.resend("ww_rg_"),
            "invite": world.invite(ALICE, by=OPERATOR),
        }
        outcomes = {way: await _outcome(call) for way, call in tried.items()}
    assert outcomes == {way: "ok" if way in ways else NotFound.code for way in tried}


@pytest.mark.parametrize(
    ("verb", "burst"),
    [
        ("ask", limits.REGISTER_BURST),
        ("resend", limits.ASK_BURST),
        ("confirm", limits.CONFIRM_BURST),
        ("accept", limits.CONFIRM_BURST),
    ],
)
async def test_a_network_is_counted_before_any_work(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str, burst: int
) -> None:
    hashed: list[str] = []

    def hash_new(*_: Any) -> str:
        hashed.append("")
        return "$"

    monkeypatch.setattr(world.engine.hasher, "_hash_new", hash_new)
    calls: dict[str, Callable[[str], Awaitable[Any]]] = {
        "ask": lambda place: world.ask(ALICE, PASSWORD, address=place),
        "resend": lambda place: world.resend("ww_rg_", address=place),
        "confirm": lambda place: world.confirm("ww_cf_", address=place),
        "accept": lambda place: world.accept("ww_cf_", PASSWORD, address=place),
    }
    for number in range(burst):
        await _outcome(calls[verb](f"2001:db8::{number:x}"))
    before = len(hashed)
    assert await _outcome(calls[verb]("2001:db8::ffff")) == Throttled.code
    assert await _outcome(calls[verb]("2001:db8:0:1::")) != Throttled.code
    assert len(hashed) - before == (verb == "ask")


async def _outcome(call: Awaitable[Any]) -> str:
    try:
        await call
    except WatchwordError as error:
        return error.code
    return "ok"


# The app's own check.


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (True, None),
        (False, RegistrationRefused),
        (None, RegistrationRefused),
        (RegistrationRefused("no"), RegistrationRefused),
        (ValueError("a fault"), StoreUnavailable),
    ],
)
async def test_the_apps_own_check_lets_a_registration_go_on(
    tmp_path: Path, answer: Any, error: type[Exception] | None
) -> None:
    asked = []

    async def hook(request: RegistrationRequest) -> bool:
        asked.append((request.email, request.username, request.address))
        if isinstance(answer, Exception):
            raise answer
        returned: bool = answer  # an app without types may return anything
        return returned

    async with opened(tmp_path, hook=hook) as world:
        if error is None:
            await world.ask(ALICE, PASSWORD, username="Al", address=VICTIM)
        else:
            # Asked before the password is judged, let alone hashed.
            with pytest.raises(error):
                await world.ask(ALICE, "short", username="Al", address=VICTIM)
            assert await world.mails() == []
    assert asked == [(ALICE, "al", VICTIM)]


# Invitations.


async def test_an_invitation_makes_the_account_of_its_address_with_its_roles(
    world: World,
) -> None:
    token = await world.invited(ALICE, "reader", "writer")
    with pytest.raises(PasswordRejected):
        await world.accept(token, "short")
    proved = await world.accept(token, PASSWORD, username="Alice")
    account = await world.by_email()
    assert (account.name, account.roles) == ("alice", ("reader", "writer"))
    assert proved.roles == account.roles
    with pytest.raises(ConfirmationInvalid):
        await world.accept(token, PASSWORD)


async def test_an_invitation_gives_roles_to_an_account_and_never_a_password(
    world: World,
) -> None:
    proved = await world.account()
    options = SessionOptions(client_id="first-party")
    tokens = await world.engine.sign_in.begin(proved, options)
    token = await world.invited(ALICE, "writer")
    with pytest.raises(InvalidCredentials):
        await world.accept(token, OTHER)
    again = await world.accept(token, PASSWORD)
    assert again.account_id == proved.account_id
    assert again.roles == (await world.by_email()).roles == ("writer",)
    sessions = await world.engine.sessions.list_of_account(proved.account_id)
    assert [one.roles for one in sessions] == [("writer",)]
    assert tokens.session.roles == ()


async def test_an_operator_may_invite_to_an_address_that_was_let_go(
    world: World,
) -> None:
    gone = await world.account(username="alice")
    await world.engine.accounts.delete(gone.account_id, by=OPERATOR)
    token = await world.invited()
    with pytest.raises(EmailTaken):  # a name that the user chose is no operator's
        await world.accept(token, PASSWORD, username="alice")
    await world.accept(token, PASSWORD)
    assert await world.names() == [ALICE]


async def test_a_mail_whose_link_has_run_out_is_not_sent(world: World) -> None:
    token = await world.invited()
    await world.invite("bob@example.org", by=OPERATOR)
    await world.ask("carol@example.org", PASSWORD)
    world.clock.advance(limits.INVITATION_LIFE)
    with pytest.raises(ConfirmationInvalid):
        await world.accept(token, PASSWORD)
    assert await world.mails() == []
