"""Sessions: their rows, the indexes by which many are found, and the feed."""

from __future__ import annotations

from typing import Final

from watchword.stores.redis.feed import Feed
from watchword.stores.redis.index import Index
from watchword.stores.redis.session_rows import SessionRows


class RedisSessions:
    """Implements `SessionStore`."""

    is_remote = True

    def __init__(self, rows: SessionRows, index: Index, feed: Feed) -> None:
        self.create: Final = rows.create
        self.load: Final = rows.load
        self.swap: Final = rows.swap
        self.list: Final = index.list_sessions
        self.end: Final = index.end
        self.assign_roles: Final = index.assign_roles
        self.ended: Final = feed.ended
