"""What the engine asks of the world, in prose that a store MUST keep.

Common to every verb: what it changes is durable before it returns; it happens whole or
not at all; the audit event that comes with a change is written in the same step; a
fault of the store raises StoreUnavailable, and then either nothing happened or the
caller cannot know (a commit whose answer was lost), so every verb can be asked again.

`watchword.testing.store_contract` is this page as a test suite.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from watchword.core import limits
from watchword.core.session import Alive, Ended, Session, as_text
from watchword.core.throttle import Cost
from watchword.errors import StoreUnavailable

Clock = Callable[[], int]
"""The current instant, in milliseconds since the Unix epoch (UTC)."""

Entropy = Callable[[int], bytes]
"""That many bytes from a cryptographically secure source."""


class EventType(StrEnum):
    """What the audit log records; names as in the OWASP Logging Vocabulary."""

    SIGN_IN = "authn_login_success"
    SIGN_IN_FAILED = "authn_login_fail"
    SIGN_IN_THROTTLED = "excess_rate_limit_exceeded"
    PASSWORD_CHANGED = "authn_password_change"
    ACCOUNT_CREATED = "user_created"
    ACCOUNT_CHANGED = "user_updated"
    ACCOUNT_DELETED = "user_deleted"
    TOKEN_REUSE = "authn_token_reuse"
    TOKEN_RETRY = "authn_token_retry"
    TOKEN_REWOUND = "authn_token_rewound"
    SESSION_REVOKED = "authn_token_revoked"
    KEY_CHANGED = "signing_key_updated"
    CLIENT_CREATED = "client_created"
    CLIENT_CHANGED = "client_updated"
    CLIENT_FAILED = "client_authn_fail"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record. Never holds a token, a password or a retry key."""

    type: EventType
    at: int
    account_id: bytes | None = None
    session_id: bytes | None = None
    client_id: str | None = None
    address: str = ""
    detail: Mapping[str, str | int | bool] = {}

    @classmethod
    def about(
        cls,
        kind: EventType,
        session: Session,
        address: str,
        at: int,
        **detail: str | int | bool,
    ) -> Event:
        """An event of one session."""
        return cls(
            type=kind,
            at=at,
            account_id=session.account_id,
            session_id=session.id,
            client_id=session.client_id,
            address=address,
            detail=detail,
        )


class Change(msgspec.Struct, frozen=True):
    """A session as it was judged, as it shall become, and the event that records it."""

    before: Session
    after: Session
    event: Event | None = None


class OneSession(msgspec.Struct, frozen=True):
    """The session of this id."""

    session_id: bytes


class OfAccount(msgspec.Struct, frozen=True):
    """All sessions of an account, or all but one, in order of id.

    `after` is where the step before left off: none has to look at what is done again.
    """

    account_id: bytes
    but: bytes | None = None
    after: bytes = b""


class SignedInBefore(msgspec.Struct, frozen=True):
    """Every session whose sign-in is older than this instant; else as `OfAccount`."""

    instant: int
    after: bytes = b""


class OfClient(msgspec.Struct, frozen=True):
    """All sessions of a client; else as `OfAccount`."""

    client_id: str
    after: bytes = b""


Which = OneSession | OfAccount | SignedInBefore | OfClient


Outcome = TypeVar("Outcome")


class PartlyUnavailable(StoreUnavailable):
    """Some of a batch could not be had, and some could: `outcomes` has each in order.

    In place of what could not there is a StoreUnavailable.
    """

    def __init__(self, outcomes: Sequence[Any]) -> None:
        super().__init__()
        self.outcomes = outcomes


async def each_of(
    asked: Awaitable[Sequence[Outcome]],
) -> Sequence[Outcome | StoreUnavailable]:
    """What a verb over a batch says of each, the fault in place of what it lacks."""
    try:
        return await asked
    except PartlyUnavailable as error:
        return error.outcomes


class Cursor(msgspec.Struct, frozen=True):
    """A place in the feed: which life of the store, and how far into it.

    `within` is a store's own: how far a read has come that takes several pages.
    """

    incarnation: bytes
    sequence: int
    within: bytes = b""


class Feed(msgspec.Struct, frozen=True):
    """A page of entries after a cursor, and where the next one begins.

    With the last page (`more` is false) everything is known that had ended before
    `complete_as_of`, the instant that the first page was asked with.
    """

    entries: Sequence[Ended]
    cursor: Cursor
    complete_as_of: int
    more: bool = False


class SessionPage(msgspec.Struct, frozen=True):
    """Some sessions, newest first. `onward` is the `after` of the next page, if any.

    A page may be short, or empty, and another follow it all the same.
    """

    sessions: Sequence[Session]
    onward: bytes | None = None


def page_of(found: Sequence[Session], onward: bytes | None, limit: int) -> SessionPage:
    """The page of what was found by a look that ended at `onward`, or at the end."""
    if len(found) < limit:
        return SessionPage(found, onward)
    return SessionPage(found[:limit], found[limit - 1].id)


class SessionStore(Protocol):
    """One row per session. Row ids are random enough to shard by."""

    far: bool
    """Whether a process would stand idle while a batch is on its way and back.

    Then refreshes that come together are sent in two batches. Not where a batch costs
    this machine's own fsync.
    """

    async def create(self, session: Session, event: Event) -> None:
        """Write a new session. Its id MUST be new."""

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        """The sessions in the order of `ids`, each as some commit left it.

        May be behind by commits of other processes: `swap` finds that out. Raises
        PartlyUnavailable where some are on a machine that is away.
        """

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        """For each change: write `after` where the row still has `before.version`.

        Of `after`, what a rotation or an end changes; the rest never does.

        True: this caller's write was the one that made `after`. False: the row moved
        on or is gone; nothing was written for it, its event included. Raises
        PartlyUnavailable as `load` does: of those in doubt nobody knows. Each change is
        atomic by itself; no session may come twice. Where `after` is revoked, its feed
        entry is written in the same step. This is the only way a row changes but for
        `end` and `assign_roles`, which raise the version too.
        """

    async def list_sessions(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
    ) -> SessionPage:
        """Sessions of an account, or of all, that `alive` includes: `limit` at most.

        In descending order of id, which is newest first; those whose id is less than
        `after`. MUST look at about `look` rows at most, revoked and expired ones too,
        however many the account has: `onward` says from where the next call goes on.
        """

    async def end(
        self, which: Which, reason: str, event: Event, limit: int
    ) -> list[Ended]:
        """Revoke up to `limit` live sessions at `event.at`; write their feed entries.

        The first ones in order of id, so that the caller can go on after the last.

        `event` is recorded once for each, with its session and account filled in.
        Fewer than `limit` returned means none is left. A row already revoked keeps its
        first reason and is not returned. MUST NOT be lost to a swap under way:
        whichever comes second sees the other.
        """

    async def ended(self, after: Cursor | None, now: int, limit: int) -> Feed:
        """The feed's entries after a cursor; all of them for None or a foreign one.

        About `limit` at a time: a read is complete when a page says that there are no
        more. The cursor of a complete read is handed in again within FEED_RECENT, or
        not at all; of a page, at once.

        An entry committed before `complete_as_of` MUST be in this answer or have been
        in an earlier one: sequence order need not be commit order, so a store whose
        writers overlap reads again as far back as the longest transaction allowed.
        """

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give every live session of the account these roles.

        In steps, each whole by itself: a fault may leave some with the roles of before.
        """

    async def sweep(self, now: int, limit: int) -> int:
        """Delete rows that are over for good, a step of `limit`; how many went.

        Sessions whose idle deadline passed SWEEP_AFTER ago, feed entries past `until`,
        throttle counters run down, keys of `use_once` past `until`, audit records past
        retention. MUST NOT touch a live session.
        """


class Account(msgspec.Struct, frozen=True):
    """Who signs in. `id` is the subject of tokens; `name` is normalised and may change.

    `epoch` rises with whatever must end the account's sessions.
    """

    id: bytes
    name: str
    password_hash: str
    roles: tuple[str, ...]
    created_at: int
    epoch: int = 0
    version: int = 0
    disabled: bool = False

    @property
    def subject(self) -> str:
        """The id as tokens have it: their `sub`."""
        return as_text(self.id)


class AccountStore(Protocol):
    """Accounts by id and by name."""

    async def add_account(self, account: Account, event: Event) -> None:
        """Raises NameTaken where an account has that name, or that id."""

    async def account_by_name(self, name: str) -> Account | None:
        """The account of that normalised name."""

    async def account_by_id(self, account_id: bytes) -> Account | None:
        """The account of that id."""

    async def list_accounts(self, *, after: str = "", limit: int) -> list[Account]:
        """Accounts in order of name, following `after`."""

    async def swap_account(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        """Write `after` (None: delete) where the row still has `before.version`."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client. Public where it has no secret; the secret's SHA-256 is kept.

    `audience` and `access_ttl` (ms) are the server's where empty or None. `grants` are
    grant types, `rights` are `introspect` and `feed`. With `dpop` it gets nothing
    without a proof (RFC 9449 §5.2, `dpop_bound_access_tokens`). With `checks_dpop` it
    looks at the proofs of tokens that it introspects. `grace` (ms) is its sessions'.
    """

    id: str
    secret_hash: bytes | None
    created_at: int
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    access_ttl: int | None = None
    grants: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    dpop: bool = False
    checks_dpop: bool = False
    grace: int = limits.CLIENT_GRACE
    disabled: bool = False
    version: int = 0


class ClientStore(Protocol):
    """OAuth clients by id."""

    async def add_client(self, client: Client, event: Event) -> None:
        """Raises NameTaken where a client has that id."""

    async def load_client(self, client_id: str) -> Client | None:
        """The client of that id."""

    async def list_clients(self, *, after: str = "", limit: int) -> list[Client]:
        """Clients in order of id, following `after`."""

    async def swap_client(self, before: Client, after: Client, event: Event) -> bool:
        """Write `after` where the row still has `before.version`."""


class OnceOnly(Protocol):
    """Keys that may be used once: the `jti` of DPoP proofs (RFC 9449 §11.1)."""

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        """For each key: whether this caller, of all, is the first to name it.

        Each comes with the instant until which it is kept; past that it may be
        forgotten at any time. No key may come twice in one call.
        """


class Throttle(Protocol):
    """Counters of failed sign-ins, by GCRA: one instant per key."""

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        """Count one attempt against every key, or none: 0, or the wait in ms.

        Atomic over all callers: of two attempts for the last place, one is refused.
        """

    async def give_back(
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        """Undo one attempt; the key `forget` starts anew (a sign-in succeeded)."""


class SealedKey(msgspec.Struct, frozen=True):
    """A signing key at rest: the private key under AES-256-GCM."""

    kid: str
    alg: str
    state: str
    sealed: bytes
    changed_at: int


class KeyStore(Protocol):
    """The ring of signing keys, read and written as a whole."""

    async def load_keys(self) -> tuple[int, list[SealedKey]]:
        """The ring and its revision; revision 0 is the empty ring of a new store."""

    async def swap_keys(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        """Replace the ring of that revision. False: somebody was first."""


class AuditLog(Protocol):
    """What happened, in the order it was committed."""

    async def record(self, event: Event) -> None:
        """Write an event that belongs to no other change."""

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        """Write events that another store committed; each comes with its place there.

        One whose place is known already is left out: so whoever was cut off between
        handing over and letting go can hand over again.
        """

    async def read_events(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events and their sequence numbers, following `after`, oldest first."""

    async def last_event(self) -> int:
        """The newest sequence number, 0 where there is none."""


@runtime_checkable
class Store(
    SessionStore,
    AccountStore,
    ClientStore,
    OnceOnly,
    Throttle,
    KeyStore,
    AuditLog,
    Protocol,
):
    """A store for everything, as `open_store` returns it."""

    async def check(self) -> None:
        """Raises StoreUnavailable unless a read works now."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of files, threads and connections."""
