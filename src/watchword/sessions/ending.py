"""Ends sessions. With that of a browser goes what it let in: root first, then members.

The rule of what goes with a root is in `groups.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import By, EndReason
from watchword.core.session import Ended
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import (
    Before,
    ByAccount,
    ByClient,
    ById,
    Selector,
    SessionStore,
)
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions.groups import Groups


class SessionEnds:
    """Ends the sessions that a selector means, step by step."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        groups: Groups,
        revocations: RevocationTracker,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._groups = groups
        self._revocations = revocations
        self._clock = clock

    async def end(self, selector: Selector, reason: EndReason, by: By) -> int:
        """End them, and return how many were alive. See `Sessions.revoke`."""
        count = 0
        while True:
            event = Event(
                type=EventType.SESSION_REVOKED,
                at=self._clock(),  # read in each step: many sessions take a while
                address=by.address,
                detail=by.detail(reason=reason),
            )
            ended = await self._sessions.end(selector, reason, event, limits.END_LIMIT)
            self._revocations.add(ended)
            count += len(ended) + await self._end_members(selector, ended, by)
            if len(ended) < limits.END_LIMIT:
                if isinstance(selector, ByAccount | ByClient):
                    # What another process has ended. The caller is told that it has
                    # ended: this process must then refuse its access tokens.
                    await self._revocations.read()
                return count
            if not isinstance(selector, ById):
                last = max(entry.session_id for entry in ended)
                selector = msgspec.structs.replace(selector, after=last)

    async def _end_members(
        self, selector: Selector, ended: Sequence[Ended], by: By
    ) -> int:
        """End what goes with the roots that this step has ended.

        All sessions of an account end with their whole groups, and no client has roots.
        """
        match selector:
            case ById(session_id):
                ids = [session_id]
            case Before():
                ids = [entry.session_id for entry in ended]
            case _:
                return 0
        count = 0
        for row in await self._sessions.load(ids):
            if row is not None:
                # An earlier call, or another process, may have ended it.
                self._revocations.note_revoked(row)
                count += await self._groups.end_members(row, by=by)
        return count
