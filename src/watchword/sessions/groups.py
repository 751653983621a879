"""Groups: the sign-in of a browser at this server, and what was started through it.

The sign-in is the root, the sessions of clients that it let in are its members. They
are found in the list of the account's sessions, by `started_from`.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchword.background import Background
from watchword.clocks import Clock
from watchword.core.actor import By
from watchword.core.policies import Policies
from watchword.core.session import Ended, Session
from watchword.ports.sessions import SessionStore
from watchword.revocation.tracker import RevocationTracker


class Groups:
    """Ends members with their root, and keeps their number small."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        revocations: RevocationTracker,
        background: Background,
        policies: Policies,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._revocations = revocations
        self._background = background
        self._policies = policies
        self._clock = clock

    async def members_of(self, root: Session) -> list[Session]:
        """The live sessions that were started from this root."""
        raise NotImplementedError

    async def end_members(self, root: Session, *, by: By) -> int:
        """End what goes with a root that has ended. Returns how many were alive.

        Members with the scope `offline_access` stay, where the root ended by a
        sign-out, or because another sign-in took its place.
        """
        raise NotImplementedError

    async def make_room(self, member: Session, *, by: By) -> None:
        """End the member of the same client that was refreshed longest ago.

        Only where there are more than MEMBERS_MAX of them.
        """
        raise NotImplementedError

    async def follow(self, entries: Sequence[Ended]) -> None:
        """End the members of those roots among the entries of the feed.

        A process that has ended a root may have died before it ended the members.
        """
        raise NotImplementedError
