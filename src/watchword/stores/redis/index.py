"""Sessions by account, by client and all: lists, and changes to many at once.

Sessions are found by the indexes: sorted sets of ids, one for each account, and one for
each bucket beside its sessions. An id without a session is passed over: its session may
be written in the next moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import HOUR, SECOND, SWEEP_LOOK
from watchword.core.session import Alive, Ended, Session
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event
from watchword.ports.sessions import (
    ByAccount,
    ById,
    Change,
    Selector,
    SessionLimit,
    SessionPage,
    beyond,
    page_of,
    selects,
)
from watchword.stores.redis.keys import BUCKETS, Keys, bucket_of
from watchword.stores.redis.rows import version_of
from watchword.stores.redis.scripts import script
from watchword.stores.redis.servers import Servers
from watchword.stores.redis.session_rows import SessionRows

PAGE: Final = 500
COUNTED: Final = 50_000
"""How many sessions are looked at to count those that are alive."""
_PAUSE: Final = 0.005
"""Seconds between two steps of the count: refreshes go on meanwhile."""
_KEPT_IN_LIST: Final = HOUR
"""How long (ms) an account's list keeps a session that has ended, at least."""

_AT_ONCE: Final = 10 * SECOND
"""How far apart (ms) the clocks may be of servers that begin sessions at once."""

TRIES: Final = 100
"""Attempts to change a row. One fails only because another process changed the row."""


class Index:
    """Implements `list`, `end` and `assign_roles` of `SessionStore`."""

    def __init__(self, servers: Servers, keys: Keys, rows: SessionRows) -> None:
        self._servers = servers
        self._keys = keys
        self._rows = rows
        self._sweep_from = b""

    async def list_sessions(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
        client_id: str | None = None,
    ) -> SessionPage:
        found: list[Session] = []
        looked = 0
        onward: bytes | None = after or b""
        while onward is not None and len(found) < limit and looked < look:
            size = min(PAGE, look - looked)
            ids, onward = await self._page(account_id, onward, size, newest_first=True)
            rows = await self._rows.load_all(ids)
            found += [
                row
                for row in rows
                if row and alive.includes(row) and client_id in {None, row.client_id}
            ]
            looked += len(ids)
        return page_of(found, onward, limit)

    async def count_live(self, alive: Alive) -> int:
        """How many sessions are alive.

        Of more than COUNTED, it is reckoned from those in some of the buckets, which
        are as good as drawn by lot. So the work does not grow with the sessions.
        """
        sizes: list[int] = await self._servers.ask(
            *(self._keys.request("ZCARD", name) for name in self._keys.index)
        )
        is_many = sum(sizes) > COUNTED
        live = looked = 0
        for where in range(BUCKETS) if is_many else (None,):
            if looked >= COUNTED:
                break
            onward: bytes | None = b""
            while onward is not None:
                ids, onward = await self._page(where, onward, PAGE)
                rows = await self._rows.load_all(ids)
                live += sum(row is not None and alive.includes(row) for row in rows)
                looked += len(ids)
                await asyncio.sleep(_PAUSE)
        return round(live * sum(sizes) / looked) if is_many else live

    async def make_room(self, session: Session, limit: SessionLimit) -> Sequence[Ended]:
        """End the groups of the account that are too many with this new session.

        Each of several new ones finds all that were written before its own search, and
        each ends the same ones. So it may be one that has just begun, this one too.
        """
        live: list[Session] = []
        gone: list[bytes] = []
        edge = limit.event.at - _KEPT_IN_LIST
        onward: bytes | None = b""
        while onward is not None:
            ids, onward = await self._page(session.account_id, onward, PAGE)
            rows = [row for row in await self._rows.load_all(ids) if row is not None]
            live += [row for row in rows if limit.counts(row)]
            gone += [row.id for row in rows if _ended_before(row, edge)]
        if gone:
            # So that the next call does not read them. What ended long ago is not
            # undone by a failover.
            account = self._keys.account(session.account_id)
            await self._servers.ask(self._keys.request("ZREM", account, *gone))
        over = beyond(limit.most, live, lambda row: _refreshed(row, session))
        done, _ = await self._change(over, _ending(limit.reason, limit.event))
        return sorted(
            (row.feed_entry() for row in done), key=lambda one: one.session_id
        )

    async def end(
        self, selector: Selector, reason: EndReason, event: Event, limit: int
    ) -> Sequence[Ended]:
        ended = _ending(reason, event)
        done: list[Session] = []
        # Sessions that another process has ended, or an attempt without an answer.
        over: list[bytes] = []
        onward: bytes | None = b"" if isinstance(selector, ById) else selector.after
        while onward is not None and len(done) < limit:
            ids, onward = await self._candidates(selector, onward)
            rows = await self._rows.load_all(ids)
            meant = [row for row in rows if row and selects(selector, row)]
            over += [row.id for row in meant if row.revoked_at is not None]
            live = [row for row in meant if row.revoked_at is None]
            while live and len(done) < limit:
                step = limit - len(done)
                became, left = await self._change(live[:step], ended)
                done += became
                over += [row.id for row in left]
                live = live[step:]
        if len(done) >= limit:  # the caller goes on after the last one
            last = max(row.id for row in done)
            over = [one for one in over if one <= last]
        # The answer says that these have ended too, so it must wait until that is safe.
        while over and self._rows.waits:
            await self._rows.assure(over)
            looking, over = over, []
            for begin in range(0, len(looking), PAGE):
                rows = await self._rows.load_all(looking[begin : begin + PAGE])
                alive = [row for row in rows if row and row.revoked_at is None]
                became, left = await self._change(alive, ended)
                done += became
                over += [row.id for row in left]
        return [row.feed_entry() for row in done]

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        def assigned(row: Session) -> Change | None:
            if row.revoked_at is not None:
                return None
            replace = msgspec.structs.replace
            return Change(row, replace(row, roles=roles, version=row.version + 1))

        onward: bytes | None = b""
        while onward is not None:
            ids, onward = await self._page(account_id, onward, PAGE)
            rows = await self._rows.load_all(ids)
            await self._change([row for row in rows if row], assigned)

    async def _change(
        self, rows: Sequence[Session], change_of: Callable[[Session], Change | None]
    ) -> tuple[list[Session], list[Session]]:
        """Change these rows, even if other processes change them at the same time.

        Returns the rows as they are now, and those for which `change_of` returned None.
        """
        became: list[Session] = []
        left: list[Session] = []
        for _ in range(TRIES):
            changes: list[Change] = []
            for row in rows:
                change = change_of(row)
                if change is None:
                    left.append(row)
                else:
                    changes.append(change)
            if not changes:
                return became, left
            swapped = await self._rows.swap_all(changes)
            missed: list[bytes] = []
            for change, done in zip(changes, swapped, strict=True):
                if done:
                    became.append(change.after)
                else:
                    missed.append(change.before.id)
            rows = [row for row in await self._rows.load_all(missed) if row is not None]
        raise StoreUnavailable

    async def _candidates(
        self, selector: Selector, after: bytes
    ) -> tuple[list[bytes], bytes | None]:
        """The next ids to look at for sessions that match, and where to go on."""
        match selector:
            case ById(session_id):
                return [session_id], None
            case ByAccount(account_id):
                return await self._page(account_id, after, PAGE)
        return await self._page(None, after, PAGE)

    async def _page(
        self,
        where: bytes | int | None,
        after: bytes,
        size: int,
        *,
        newest_first: bool = False,
    ) -> tuple[list[bytes], bytes | None]:
        """The ids after `after`, in order, and where to go on, or None at the end.

        They are at most `size` of an account or of a bucket, or about `size` of all.
        """
        keys, first, last = self._keys, b"-", b"+"
        command, nearest = "ZRANGEBYLEX", min
        if newest_first:
            command, nearest, first, last = "ZREVRANGEBYLEX", max, last, first
        start = b"(" + after if after else first
        if where is None:
            each, names = size // BUCKETS + 8, keys.index
        else:
            each = size
            names = [
                keys.index[where] if isinstance(where, int) else keys.account(where)
            ]
        pages: list[list[bytes]] = await self._servers.ask(
            *(
                keys.request(command, name, start, last, "LIMIT", 0, each)
                for name in names
            )
        )
        # If a bucket has more ids than came, ids of other buckets beyond its last one
        # are left for the next page. Otherwise the pages would not be in order.
        ends = [page[-1] for page in pages if len(page) == each]
        end = nearest(ends, default=None)
        ids = [
            one
            for page in pages
            for one in page
            if end is None or one == nearest(one, end)
        ]
        return sorted(ids, reverse=newest_first), end

    async def sweep(self, edge: int, limit: int) -> int:
        """Walk through some sessions; delete those with an idle deadline before `edge`.

        Returns how many were deleted.
        """
        gone = looked = 0
        while looked < SWEEP_LOOK and gone < limit:
            ids, onward = await self._page(None, self._sweep_from, PAGE)
            rows = await self._rows.load_all(ids)
            over = [
                (one, row)
                for one, row in zip(ids, rows, strict=True)
                if row is None or row.idle_expires_at < edge
            ]
            gone += await self._delete(over[: limit - gone])
            looked += len(ids)
            if gone < limit:
                self._sweep_from = onward or b""
            if onward is None:
                break
        return gone

    async def _delete(self, over: Sequence[tuple[bytes, Session | None]]) -> int:
        keys = self._keys
        # The account's list comes first. If the second step fails, a session that is
        # over is missing from the list. In the other order an id without a session
        # would stay in the list for ever.
        named = [
            keys.request("ZREM", keys.account(row.account_id), row.id)
            for _, row in over
            if row is not None
        ]
        deleting = [
            script("delete").on(
                keys.slots[bucket_of(one)],
                (keys.session(one), keys.index[bucket_of(one)]),
                (b"" if row is None else version_of(row), one),
                repeatable=True,
            )
            for one, row in over
        ]
        if named:
            await self._servers.ask(*named)
        return sum(await self._servers.ask(*deleting)) if deleting else 0


def _ending(reason: EndReason, event: Event) -> Callable[[Session], Change | None]:
    """What ends a session that has not ended, with an event of its own."""

    def change(row: Session) -> Change | None:
        if row.revoked_at is not None:
            return None
        replace = msgspec.structs.replace
        mine = replace(event, session_id=row.id, account_id=row.account_id)
        return Change(row, row.ended(reason, event.at), mine)

    return change


def _ended_before(row: Session, instant: int) -> bool:
    # One that has only expired stays in the list until the sweep: it can still be
    # ended. Of these there are few, for what was beyond the limit was ended.
    return row.revoked_at is not None and row.revoked_at < instant


def _refreshed(row: Session, new: Session) -> int:
    """When the session was refreshed, for the order of groups.

    A session from far in the future is not later than the new one: the clock was set
    back since.
    """
    later = row.rotated_at > new.rotated_at + _AT_ONCE
    return 0 if later else row.rotated_at
