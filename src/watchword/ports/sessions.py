"""Sessions and the revocation feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from watchword.core.actor import EndReason
from watchword.core.session import Alive, Ended, Session
from watchword.ports.audit import Event
from watchword.ports.credentials import Spending


class Change(msgspec.Struct, frozen=True):
    """A session as it was judged, the session to write, and the event to record."""

    before: Session
    after: Session
    event: Event | None = None

    @property
    def only_rotates(self) -> bool:
        """Whether it neither ends the session nor writes what its user has proved."""
        before, after = self.before, self.after
        return (
            after.revoked_at is None
            and after.auth_time == before.auth_time
            and after.amr == before.amr
            and after.acr == before.acr
        )


class SessionLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many live groups of sessions an account may have, a new one included.

    A group counts as one, whatever the number of its sessions (`Session.group`), and a
    session that joins one which lives takes no more room. Those groups that were
    refreshed longest ago end whole for `reason`, each session with its `event`, as at
    `SessionStore.end`. `alive` says which are alive. The group `replaced` is about to
    end anyway: it neither counts nor ends.
    """

    most: int
    alive: Alive
    reason: EndReason
    event: Event
    replaced: bytes | None = None

    def counts(self, session: Session) -> bool:
        """Whether the session is one of those that there may be so many of."""
        return session.group != self.replaced and self.alive.includes(session)


class SessionExists(Exception):
    """There is a session with that id already: another caller made it."""


def beyond(
    most: int, sessions: Sequence[Session], refreshed: Callable[[Session], int]
) -> list[Session]:
    """The sessions of all groups but the `most` that were refreshed latest, by id.

    `refreshed` says when a session was.
    """
    latest: dict[bytes, int] = {}
    for one in sessions:
        latest[one.group] = max(refreshed(one), latest.get(one.group, 0))
    order = sorted(latest, key=lambda group: (latest[group], group), reverse=True)
    over = set(order[most:])
    return sorted(
        (one for one in sessions if one.group in over), key=lambda one: one.id
    )


class ById(msgspec.Struct, frozen=True):
    """The session of this id."""

    session_id: bytes


class ByAccount(msgspec.Struct, frozen=True):
    """All sessions of an account, in order of id, or all but those of the group `but`.

    `but` is what `Session.group` says of a session that is to stay.

    Only ids greater than `after` are meant. A caller that goes on in several steps
    passes the last id of the step before, so that no step looks at the same rows again.
    """

    account_id: bytes
    but: bytes | None = None
    after: bytes = b""


class Before(msgspec.Struct, frozen=True):
    """Every session that was signed in before this instant (ms).

    Order and `after` are those of `ByAccount`.
    """

    instant: int
    after: bytes = b""


class ByClient(msgspec.Struct, frozen=True):
    """All sessions of a client. Order and `after` are those of `ByAccount`."""

    client_id: str
    after: bytes = b""


Selector = ById | ByAccount | Before | ByClient


def selects(selector: Selector, session: Session) -> bool:
    """Whether the session is one of those meant, alive or not."""
    if isinstance(selector, ById):
        return session.id == selector.session_id
    if session.id <= selector.after:
        return False
    match selector:
        case ByAccount(account_id, but):
            return session.account_id == account_id and session.group != but
        case ByClient(client_id):
            return session.client_id == client_id
        case Before(instant):
            return session.authenticated_at < instant


class Cursor(msgspec.Struct, frozen=True):
    """A place in the feed of a store.

    `incarnation` is drawn anew when a store is made, so a cursor of another store is
    recognised. `sequence` is how far the feed has been read. `within` belongs to the
    store: how far a read of several pages has come.
    """

    incarnation: bytes
    sequence: int
    within: bytes = b""


class FeedPage(msgspec.Struct, frozen=True):
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

    is_remote: bool
    """Whether this process would be idle while a batch is on its way to the store.

    If so, refreshes that come together are sent in two batches. It is false for a store
    that is on this machine, where each batch costs an fsync.
    """

    async def create(
        self,
        session: Session,
        event: Event,
        limit: SessionLimit | None = None,
        spends: Spending | None = None,
    ) -> Sequence[Ended]:
        """Write a new session. Raises SessionExists where one has its id already.

        Of callers that create one id at the same time, one succeeds, and the others
        MUST NOT write anything. A store that asks again by itself where an answer was
        lost may take the very same session for its own: then both succeed with it.

        The credential that it `spends` is deleted (by id and version) in the same step
        or, where sessions are in a store of their own, before it. Where that row is
        gone, SecondFactorInvalid is raised and there is no session: of callers that
        spend one code, one gets in.

        Returns the feed entries of the sessions that had to end, in order of id. They
        end in the same step or, where a store cannot do that, after it. Of sign-ins at
        the same time the last one that returns MUST leave at most `limit.most` live
        groups, and at least one. The work MUST NOT grow with the number of sessions
        that ended long ago.
        """

    async def load(self, ids: Sequence[bytes]) -> Sequence[Session | None]:
        """The sessions in the order of `ids`, each as some commit left it, or None.

        They may lack recent rotations of other processes: `swap` finds that out. But
        every session that was created, and every end that was acknowledged, to any
        process before this call MUST be seen. Raises PartialResult where some are on a
        machine that cannot be reached, or where it is not known whether they ended.
        """

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        """For each change: write `after` where the row still has `before.version`.

        Only the fields that a rotation, a proof (`auth_time`, `amr`, `acr`) or an end
        changes are written; the others never change. Where `after` is revoked, its feed
        entry is written in the same step.

        Returns for each change whether this call wrote it. False means that the row has
        another version or is gone; then nothing was written for it, not even its event.
        Raises PartialResult as `load` does: a failed change was made or not, which
        cannot be known. Each change is atomic by itself. No session may come twice. A
        row is changed only here and by `end` and `assign_roles`, and each of these
        raises its version.
        """

    async def list(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
        client_id: str | None = None,
    ) -> SessionPage:
        """Sessions of an account, or of all, that `alive` includes: `limit` at most.

        With `client_id` only those of that client.

        In descending order of id, which is newest first, and only ids less than
        `after`. MUST look at about `look` rows at most, revoked and expired ones
        included, however many the account has. `onward` says where the next call goes
        on.
        """

    async def end(
        self, selector: Selector, reason: EndReason, event: Event, limit: int
    ) -> Sequence[Ended]:
        """Revoke up to `limit` live sessions at `event.at`; returns their feed entries.

        The first ones in order of id are taken, so that the caller can go on after the
        last. The feed entries are written in the same step. `event` is recorded once
        for each session, with session and account filled in. Fewer entries than `limit`
        mean that no session is left. A row that is already revoked keeps its first
        reason and is not returned. An end MUST NOT be lost to a swap at the same time:
        whichever of the two comes second sees the first.
        """

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
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
