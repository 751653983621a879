"""Groups: the sign-in of a browser at this server, and what was started through it.

The sign-in is the root, the sessions of clients that it let in are its members. They
are found in the list of the account's sessions, by `started_from`.

Whatever ends a root ends its members next. The process that does so may die in between.
So each process that serves looks at the roots in the feed of ended sessions, and ends
the members that are left.

A root that runs out ends none of them. If the browser signs in again, it then ends, and
they with it; but not once its row has been swept, SWEEP_AFTER later. Its members stay
in the list of the account, and end as sessions without a root do.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import SYSTEM, By, EndReason
from watchword.core.policies import PAGES, Policies
from watchword.core.scopes import OFFLINE_ACCESS
from watchword.core.session import Ended, Session
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event, EventType
from watchword.ports.batches import outcomes_of
from watchword.ports.sessions import ById, SessionStore
from watchword.revocation.tracker import RevocationTracker

KEEPS_OFFLINE: Final = frozenset(
    {EndReason.LOGOUT, EndReason.ENDED_BY_USER, EndReason.SIGNED_IN_AGAIN}
)
"""Ends of a root that its members with the scope `offline_access` survive.

The user has left this browser, or has come back to it. All other ends say that the
user, the operator or this server no longer trusts what was begun there.
"""

_PAUSE: Final = 0.05


def outlives(member: Session, root: Session) -> bool:
    """Whether a member goes on though its root is not alive any more.

    A root that has run out ends none.
    """
    if root.revoked_at is None:
        return True
    return root.revoked_reason in KEEPS_OFFLINE and OFFLINE_ACCESS in member.scope


class Groups:
    """Ends members with their root, and keeps their number small."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        revocations: RevocationTracker,
        policies: Policies,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._revocations = revocations
        self._policies = policies
        self._clock = clock
        # Ended sessions that may be roots, in order. A dict, so that none is in it
        # twice.
        self._noted: dict[bytes, None] = {}

    async def end_members(self, root: Session, *, by: By) -> int:
        """End what goes with a root that has ended. Returns how many were alive.

        Members with the scope `offline_access` stay where the user has signed out, or
        where another sign-in took the root's place. Nothing ends with a session that is
        no root, or that is alive. Raises StoreUnavailable.
        """
        if root.client_id != PAGES or root.revoked_at is None:
            return 0
        leaving = [
            row.id
            async for row in self._members(root.account_id, root.id)
            if not outlives(row, root)
        ]
        return await self._end(leaving, EndReason.GROUP_ENDED, by)

    async def leaving(self, root: Session) -> list[str]:
        """The ids of the clients that lose a session if the user signs out there."""
        found = [
            row.client_id
            async for row in self._members(root.account_id, root.id)
            if OFFLINE_ACCESS not in row.scope
        ]
        return list(dict.fromkeys(found))

    async def leaves_some(self, account_id: bytes, root_id: bytes) -> bool:
        """Whether members of that root go on where another sign-in takes its place."""
        async for row in self._members(account_id, root_id):
            if OFFLINE_ACCESS in row.scope:
                return True
        return False

    async def make_room(self, member: Session, *, by: By) -> None:
        """End the members of the same client that were refreshed longest ago.

        As many as there are more than MEMBERS_MAX; this one stays. Only so many of the
        account's sessions are looked at: an app that asks for codes without end must
        not make each exchange slower than the one before.
        """
        if member.started_from is None:
            return
        others = [
            row
            async for row in self._members(
                member.account_id, member.started_from, steps=2
            )
            if row.client_id == member.client_id and row.id != member.id
        ]
        others.sort(key=lambda row: (row.rotated_at, row.id), reverse=True)
        leaving = [row.id for row in others[limits.MEMBERS_MAX - 1 :]]
        await self._end(leaving, EndReason.MEMBERS_MAX, by)

    def note(self, entries: Iterable[Ended]) -> None:
        """Have `finish` look at these entries of the feed: each may be of a root."""
        self._noted.update(dict.fromkeys(entry.session_id for entry in entries))

    async def finish(self) -> None:
        """End the members of the roots that were noted: a process may have left some.

        What could not be looked at is looked at in the next call. Raises
        StoreUnavailable.
        """
        missing = 0
        noted = list(self._noted)
        for start in range(0, len(noted), limits.GROUPS_BATCH):
            batch = noted[start : start + limits.GROUPS_BATCH]
            rows = await outcomes_of(self._sessions.load(batch))
            for session_id, row in zip(batch, rows, strict=True):
                try:
                    await self._finish(row)
                except StoreUnavailable:  # the others are not to wait for this one
                    missing += 1
                else:
                    self._noted.pop(session_id, None)
            if len(noted) > len(batch):
                await asyncio.sleep(_PAUSE)  # lets refreshes pass
        if missing:
            raise StoreUnavailable

    async def _finish(self, row: Session | StoreUnavailable | None) -> None:
        if isinstance(row, StoreUnavailable):
            raise row
        if row is not None:
            await self.end_members(row, by=SYSTEM)

    async def _members(
        self, account_id: bytes, root_id: bytes, *, steps: int = sys.maxsize
    ) -> AsyncIterator[Session]:
        """The live sessions that were started from that root, newest first.

        As far as so many pages of the account's list go.
        """
        alive, after = self._policies.maybe_alive(self._clock()), None
        look = limits.LIST_LOOK_FEW
        for _ in range(steps):
            page = await self._sessions.list(
                account_id,
                alive,
                after=after,
                limit=limits.LIST_LIMIT,
                look=look,
            )
            for row in page.sessions:
                if row.started_from == root_id:
                    yield row
            after, look = page.onward, limits.LIST_LOOK
            if after is None:
                return

    async def _end(self, ids: Sequence[bytes], reason: EndReason, by: By) -> int:
        count = 0
        for session_id in ids:
            event = Event(
                type=EventType.SESSION_REVOKED,
                at=self._clock(),
                address=by.address,
                detail=by.detail(reason=reason),
            )
            ended = await self._sessions.end(ById(session_id), reason, event, 1)
            self._revocations.add(ended)
            count += len(ended)
        return count
