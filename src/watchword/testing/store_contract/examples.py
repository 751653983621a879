"""Rows and events for tests: they differ by a number, and are otherwise the same."""

# ruff: noqa: ANN401, PLR2004 - fields are of many types; two steps are two steps

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import DAY, FEED_PAGE, LIST_LOOK, SWEEP_LIMIT
from watchword.core.session import (
    STRICT,
    Alive,
    Authenticated,
    Ended,
    Session,
    SessionOptions,
    time_ordered_id,
)
from watchword.core.throttle import Cost
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.clients import Client
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential, CredentialKind
from watchword.ports.keys import KeyState, KeyUse, SealedKey
from watchword.ports.outbox import Lane, Message, MessageKind
from watchword.ports.registrations import Registration
from watchword.ports.sessions import SessionLimit
from watchword.testing.fakes import START

OPTIONS: Final = SessionOptions(
    client_id="mobile",
    scope=("orders:read", "orders:write"),
    audience=("https://orders.example/", "https://stock.example/v2?x=1"),
    jkt="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    cookie=True,
)
"""What a sign-in asks for that uses every option."""


async def living(
    stores: Stores,
    account_id: bytes | None = None,
    *,
    now: int = START,
    limit: int = 500,
) -> list[Session]:
    """All sessions that a store lists as alive at that instant, read page by page."""
    alive = Alive.at(now, STRICT)
    rows: list[Session] = []
    after: bytes | None = None
    while True:
        page = await stores.sessions.list(
            account_id, alive, after=after, limit=limit, look=LIST_LOOK
        )
        rows += page.sessions
        if page.onward is None:
            return rows
        after = page.onward


async def put(stores: Stores, *sessions: Session) -> None:
    """Write new sessions, each with the event of its sign-in."""
    for session in sessions:
        await stores.sessions.create(session, sign_in(session))


async def fed(stores: Stores, now: int = START) -> Sequence[Ended]:
    """All entries of the feed."""
    return (await stores.sessions.ended(None, now, FEED_PAGE)).entries


async def sweep_up(stores: Stores, now: int) -> int:
    """Sweep until two steps in a row delete nothing, and return how many were deleted.

    Two, because one step need not look at all rows.
    """
    swept = found = await stores.backend.sweep(now, SWEEP_LIMIT)
    quiet = 0
    while quiet < 2:
        found = await stores.backend.sweep(now, SWEEP_LIMIT)
        swept += found
        quiet = 0 if found else quiet + 1
    return swept


def identifier(number: int, kind: str = "account") -> bytes:
    """An id of 16 bytes. Ids are in the order of their numbers."""
    return number.to_bytes(6) + hashlib.sha256(f"{kind}{number}".encode()).digest()[:10]


def a_session(
    number: int = 1, *, account: int = 1, now: int = START, **fields: Any
) -> Session:
    """A session as a sign-in makes it."""
    session = Session(
        id=time_ordered_id(now, number.to_bytes(10)),
        account_id=identifier(account),
        client_id="first-party",
        secret_hash=hashlib.sha256(f"secret{number}".encode()).digest(),
        retry_hash=hashlib.sha256(f"no key {number}".encode()).digest(),
        generation=0,
        version=0,
        authenticated_at=now,
        rotated_at=now,
        idle_expires_at=now + STRICT.refresh_idle,
        expires_at=now + STRICT.refresh_absolute,
        access_ttl=STRICT.access_ttl,
        grace=STRICT.grace,
        hold_off=STRICT.hold_off,
        roles=("reader",),
        address="203.0.113.7",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox",
        auth_time=now,
    )
    return msgspec.structs.replace(session, **fields)


def with_options(session: Session, options: SessionOptions = OPTIONS) -> Session:
    """That session as a sign-in with these options makes it."""
    fixed = {
        name: value
        for name, value in msgspec.structs.asdict(options).items()
        if value is not None
    }
    return msgspec.structs.replace(session, amr=("pwd", "otp"), acr="aal2", **fixed)


def rotated(session: Session, *, by: str = "key", now: int | None = None) -> Session:
    """That session after a rotation made with the retry key `by`."""
    return session.rotated(
        session.generation + 1,
        hashlib.sha256(by.encode()).digest(),
        "198.51.100.9",
        STRICT,
        session.rotated_at + 1000 if now is None else now,
    )


def a_proof(*, of: Session, at: int) -> Authenticated:
    """What a step-up of that session by a second factor proves."""
    return Authenticated(of.account_id, (), 0, ("otp",), "aal2", at)


def a_limit(
    most: int, *, now: int = START, replaced: bytes | None = None
) -> SessionLimit:
    """What a sign-in at that instant says where an account may have so many."""
    return SessionLimit(
        most=most,
        alive=Alive.at(now, STRICT),
        reason=EndReason.SESSIONS_MAX,
        event=an_event(at=now, reason=EndReason.SESSIONS_MAX),
        replaced=replaced,
    )


def an_event(
    kind: EventType = EventType.SESSION_REVOKED,
    *,
    of: Session | None = None,
    at: int = START,
    **detail: str | int | bool,
) -> Event:
    """An audit event; of that session, if one is given."""
    return Event(
        type=kind,
        at=at,
        account_id=None if of is None else of.account_id,
        session_id=None if of is None else of.id,
        client_id=None if of is None else of.client_id,
        address="203.0.113.7",
        detail=detail,
    )


def a_trail(
    kind: EventType = EventType.ACCOUNT_CHANGED,
    *messages: Message,
    at: int = START,
) -> Trail:
    """An event, and the messages that wait with it."""
    return Trail((an_event(kind, at=at),), messages)


def sign_in(session: Session) -> Event:
    """The event that goes with a session's creation."""
    return an_event(EventType.SIGN_IN, of=session, at=session.authenticated_at)


def an_account(name: str = "ada", number: int = 1, **fields: Any) -> Account:
    """An account as `user add` makes it."""
    account = Account(
        identifier(number), name, "$argon2id$v=19$not-a-hash", ("reader",), START
    )
    return msgspec.structs.replace(account, **fields)


def with_address(account: Account, key: str = "ada@example.org") -> Account:
    """The account with a confirmed address, as its next version."""
    return msgspec.structs.replace(
        account,
        email=key.title(),
        email_key=key,
        email_confirmed_at=START,
        version=account.version + 1,
    )


def a_registration(
    number: int = 1, *, name: str = "ada", network: str = "192.0.2.0", at: int = START
) -> Registration:
    """A registration as a stranger asks for it."""
    address = f"{name}@example.org"
    return Registration(
        id_hash=identifier(number, "handle"),
        token_hash=identifier(number, "registration"),
        email=address.title(),
        email_key=address,
        username=None if number % 2 else f"user{number}",
        password_hash="$argon2id$v=19$not-a-hash",  # noqa: S106 - not a password
        locale="de",
        network=network,
        created_at=at,
        until=at + DAY,
    )


def a_confirmation(
    number: int = 1,
    purpose: Purpose = Purpose.RESET,
    *,
    account: int | None = 1,
    at: int = START,
    **fields: Any,
) -> Confirmation:
    """A one-time token of an account as a store has it."""
    confirmation = Confirmation(
        token_hash=identifier(number, "confirmation"),
        account_id=None if account is None else identifier(account),
        purpose=purpose,
        email="Ada@example.org",
        email_key="ada@example.org",
        created_at=at,
        until=at + DAY,
    )
    return msgspec.structs.replace(confirmation, **fields)


_KEYLESS: Final = frozenset(
    {CredentialKind.TOTP, CredentialKind.DEMAND, CredentialKind.EPOCH}
)


def a_credential(
    number: int = 1,
    kind: CredentialKind = CredentialKind.TOTP,
    *,
    account: int = 1,
    **fields: Any,
) -> Credential:
    """A credential of an account. Its content is not sealed by any key."""
    key = hashlib.sha256(f"key{number}".encode()).digest()
    credential = Credential(
        id=identifier(number, "credential"),
        account_id=identifier(account),
        kind=kind,
        created_at=START,
        key=b"" if kind in _KEYLESS else key,
        step=number,
    )
    return msgspec.structs.replace(credential, **fields)


def a_message(number: int = 1, **fields: Any) -> Message:
    """A mail to an account that waits. Its content is not sealed by any key."""
    message = Message(
        id=identifier(number, "message"),
        kind=MessageKind.MAIL,
        sealed=hashlib.shake_256(f"mail{number}".encode()).digest(99),
        not_before=START,
        account_id=None,
        lane=Lane.CONFIRMED,
        network="192.0.2.0",
    )
    return msgspec.structs.replace(message, **fields)


def a_consent(client_id: str = "app", *, account: int = 1, **fields: Any) -> Consent:
    """What a user lets a client have."""
    consent = Consent(
        account_id=identifier(account),
        client_id=client_id,
        scope=("openid", "offline_access"),
        resource=OPTIONS.audience,
        created_at=START,
        used_at=START,
    )
    return msgspec.structs.replace(consent, **fields)


def a_client(client_id: str = "billing", **fields: Any) -> Client:
    """A confidential client as `clients add` makes it."""
    secret_hash = hashlib.sha256(client_id.encode()).digest()
    client = Client(id=client_id, secret_hash=secret_hash, created_at=START)
    return msgspec.structs.replace(client, **fields)


def a_cost(key: str = "name:ada", *, burst: int = 3, interval: int = 60_000) -> Cost:
    """A throttle's counter."""
    return Cost(key, burst, interval)


def a_key(
    number: int = 1,
    state: KeyState = KeyState.ACTIVE,
    *,
    now: int = START,
    use: KeyUse = KeyUse.ACCESS_TOKEN,
) -> SealedKey:
    """A sealed signing key. Its content is no real key, because no test unseals it."""
    sealed = hashlib.shake_256(f"key{number}".encode()).digest(166)
    return SealedKey(f"kid-{number}", "ES256", state, sealed, now, use)
