"""Sessions: their rows, the indexes by which many are found, and the feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchword.core.session import Ended, Session
from watchword.errors import SecondFactorInvalid
from watchword.ports.audit import Event
from watchword.ports.credentials import CredentialStore, Spending
from watchword.ports.sessions import SessionLimit
from watchword.stores.redis.feed import Feed
from watchword.stores.redis.index import Index
from watchword.stores.redis.session_rows import SessionRows


class RedisSessions:
    """Implements `SessionStore`. `credentials` are in the store of records."""

    is_remote = True

    def __init__(
        self,
        rows: SessionRows,
        index: Index,
        feed: Feed,
        credentials: CredentialStore,
    ) -> None:
        self._credentials = credentials
        self._create = rows.create
        self._make_room = index.make_room
        self.load: Final = rows.load
        self.swap: Final = rows.swap
        self.list: Final = index.list_sessions
        self.end: Final = index.end
        self.assign_roles: Final = index.assign_roles
        self.ended: Final = feed.ended

    async def create(
        self,
        session: Session,
        event: Event,
        limit: SessionLimit | None = None,
        spends: Spending | None = None,
    ) -> Sequence[Ended]:
        # First: a code that works twice would be worse than one that is lost with the
        # process.
        if spends is not None and not await self._credentials.swap(
            spends.credential, None, spends.trail
        ):
            raise SecondFactorInvalid
        await self._create(session, event)
        return [] if limit is None else await self._make_room(session, limit)
