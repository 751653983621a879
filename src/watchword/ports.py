"""The ports of the engine: verbs, and what every store MUST keep for each of them.

For every verb: what it changes is durable before it returns. A change happens whole or
not at all. The audit event that comes with a change is written in the same step. A
fault of the store raises StoreUnavailable; then either nothing happened, or the caller
cannot know what did (the answer to a commit was lost). So every verb can safely be
asked again.

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
"""So many bytes from a cryptographically secure source."""


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
    """A session as it was judged, the session to write, and the event to record."""

    before: Session
    after: Session
    event: Event | None = None


class OneSession(msgspec.Struct, frozen=True):
    """The session of this id."""

    session_id: bytes


class OfAccount(msgspec.Struct, frozen=True):
    """All sessions of an account, or all but the one with the id `but`, in order of id.

    Only ids greater than `after` are meant. A caller that goes on in several steps
    passes the last id of the step before, so that no step looks at the same rows again.
    """

    account_id: bytes
    but: bytes | None = None
    after: bytes = b""


class SignedInBefore(msgspec.Struct, frozen=True):
    """Every session that was signed in before this instant (ms).

    Order and `after` are those of `OfAccount`.
    """

    instant: int
    after: bytes = b""


class OfClient(msgspec.Struct, frozen=True):
    """All sessions of a client. Order and `after` are those of `OfAccount`."""

    client_id: str
    after: bytes = b""


Which = OneSession | OfAccount | SignedInBefore | OfClient


Outcome = TypeVar("Outcome")


class PartlyUnavailable(StoreUnavailable):
    """A part of a batch failed. `outcomes` has the outcome of each item, in order.

    In place of the outcome of a failed item there is a StoreUnavailable.
    """

    def __init__(self, outcomes: Sequence[Any]) -> None:
        super().__init__()
        self.outcomes = outcomes


async def each_of(
    asked: Awaitable[Sequence[Outcome]],
) -> Sequence[Outcome | StoreUnavailable]:
    """The outcomes of a verb over a batch, with a StoreUnavailable for a failed item.

    Raises StoreUnavailable where the whole batch failed.
    """
    try:
        return await asked
    except PartlyUnavailable as error:
        return error.outcomes


class Cursor(msgspec.Struct, frozen=True):
    """A place in the feed of a store.

    `incarnation` is drawn anew when a store is made, so a cursor of another store is
    recognised. `sequence` is how far the feed has been read. `within` belongs to the
    store: how far a read of several pages has come.
    """

    incarnation: bytes
    sequence: int
    within: bytes = b""


class Feed(msgspec.Struct, frozen=True):
    """A page of entries after a cursor, and where the next one begins.

    After the last page (`more` is false) the reader knows every session that had ended
    before `complete_as_of`. That is the instant with which the first page was asked
    for.
    """

    entries: Sequence[Ended]
    cursor: Cursor
    complete_as_of: int
    more: bool = False


class SessionPage(msgspec.Struct, frozen=True):
    """Some sessions, newest first. `onward` is the `after` of the next page, if any.

    A page may be short or empty although another one follows.
    """

    sessions: Sequence[Session]
    onward: bytes | None = None


def page_of(found: Sequence[Session], onward: bytes | None, limit: int) -> SessionPage:
    """The first `limit` sessions of those found, as a page.

    `onward` is the last id that the store looked at, or None at the end of the list.
    """
    if len(found) < limit:
        return SessionPage(found, onward)
    return SessionPage(found[:limit], found[limit - 1].id)


class SessionStore(Protocol):
    """One row per session. Row ids are random enough to shard by."""

    far: bool
    """Whether this process would be idle while a batch is on its way to the store.

    If so, refreshes that come together are sent in two batches. It is false for a store
    that is on this machine, where each batch costs an fsync.
    """

    async def create(self, session: Session, event: Event) -> None:
        """Write a new session. Its id MUST be new."""

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        """The sessions in the order of `ids`, each as some commit left it, or None.

        They may lack recent commits of other processes: `swap` finds that out. Raises
        PartlyUnavailable where some are on a machine that cannot be reached.
        """

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        """For each change: write `after` where the row still has `before.version`.

        Only the fields that a rotation or an end changes are written; the others never
        change. Where `after` is revoked, its feed entry is written in the same step.

        Returns for each change whether this call wrote it. False means that the row has
        another version or is gone; then nothing was written for it, not even its event.
        Raises PartlyUnavailable as `load` does: a failed change was made or not, which
        cannot be known. Each change is atomic by itself. No session may come twice. A
        row is changed only here and by `end` and `assign_roles`, and each of these
        raises its version.
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

        In descending order of id, which is newest first, and only ids less than
        `after`. MUST look at about `look` rows at most, revoked and expired ones
        included, however many the account has. `onward` says where the next call goes
        on.
        """

    async def end(
        self, which: Which, reason: str, event: Event, limit: int
    ) -> list[Ended]:
        """Revoke up to `limit` live sessions at `event.at`; returns their feed entries.

        The first ones in order of id are taken, so that the caller can go on after the
        last. The feed entries are written in the same step. `event` is recorded once
        for each session, with session and account filled in. Fewer entries than `limit`
        mean that no session is left. A row that is already revoked keeps its first
        reason and is not returned. An end MUST NOT be lost to a swap at the same time:
        whichever of the two comes second sees the first.
        """

    async def ended(self, after: Cursor | None, now: int, limit: int) -> Feed:
        """The feed's entries after a cursor; all of them for None or an unknown cursor.

        A page has about `limit` entries. A read is complete when a page says that there
        are no more. A caller hands the cursor of a complete read in within FEED_RECENT,
        or not at all, and that of a page at once.

        An entry committed before `complete_as_of` MUST be in this answer or in an
        earlier one. Sequence order need not be commit order, so a store with several
        writers at a time reads again as far back as the longest transaction allowed.
        """

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give every live session of the account these roles.

        It takes several steps, each of them atomic. After a fault some sessions may
        still have their earlier roles.
        """

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` rows of each kind that are over; returns how many.

        These are sessions with an idle deadline more than SWEEP_AFTER ago, feed entries
        past `until`, throttle counters that have run down, keys of `use_once` past
        `until`, and audit records past retention. MUST NOT touch a live session.
        """


class Account(msgspec.Struct, frozen=True):
    """A person or program that signs in with name and password.

    `id` is the subject of tokens. `name` is normalised and may change. `epoch` rises
    with each change that must end the account's sessions.
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
        """Write `after` where the row still has `before.version`; None deletes the row.

        Returns whether it was written.
        """


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client. It is public where it has no secret.

    `secret_hash` is the SHA-256 of the secret. `audience` and `access_ttl` (ms) are the
    server's where empty or None. `grants` are grant types; `rights` are `introspect`
    and `feed`. With `dpop` the client gets no token without a proof (RFC 9449 §5.2,
    `dpop_bound_access_tokens`). `checks_dpop` says that the client itself checks the
    proofs of the tokens that it introspects. `grace` (ms) is that of its sessions.
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
        """Write `after` where the row still has `before.version`; whether it did."""


class OnceOnly(Protocol):
    """Keys that may be used once: the `jti` of DPoP proofs (RFC 9449 §11.1)."""

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        """For each key, whether this call is the first one of all callers to use it.

        Each key comes with the instant (ms) until which it MUST be kept; later it may
        be forgotten at any time. No key may come twice in one call.
        """


class Throttle(Protocol):
    """Counters of failed sign-ins, by GCRA: one instant per key."""

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        """Count one attempt against every key and return 0; or count none.

        In that case it returns how many milliseconds to wait. It is atomic over all
        callers: of two attempts for the last place, one is refused.
        """

    async def give_back(
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        """Undo one attempt. The counter `forget` starts anew: its sign-in succeeded."""


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
        """Replace the ring of that revision. False where another process was first."""


class AuditLog(Protocol):
    """Audit events, in the order in which they were committed."""

    async def record(self, event: Event) -> None:
        """Write an event that belongs to no other change."""

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        """Write events that another store committed. Each comes with its place there.

        An event with a place that is already known is left out. So a process that was
        cut off after handing events over, and before deleting them there, can hand them
        over again.
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
        """Finish accepted calls, then release files, threads and connections."""
