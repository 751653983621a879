"""The names of keys. What belongs to a session is in the same slot: its bucket.

PREFIX:{TAG}s ID     a session (64 buckets, by the last byte of its id)
PREFIX:{TAG}i        the ids of the bucket's sessions, in order
PREFIX:{TAG}f        the feed of the bucket's sessions that ended
PREFIX:{TAG}o        events on their way to the audit log
PREFIX:{TAG}m        the mark: a revocation writes it to have a write to wait for
PREFIX:a ACCOUNT     the ids of an account's sessions, in order: some that ended
                     long ago are left out already
PREFIX:throttle, PREFIX:once
PREFIX:life          the incarnation of the store
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from watchword.stores.redis.scripts import Request

BUCKETS: Final = 64


def bucket_of(session_id: bytes) -> int:
    """The bucket of a session, by the last byte of its id, which is random."""
    return session_id[-1] % BUCKETS


class Keys:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        start = prefix.encode() + b":"
        tags = [b"%s{%d}" % (start, tag) for tag in _tags()]
        self.slots: Final = [key_slot(tag) for tag in tags]
        self.index: Final = [tag + b"i" for tag in tags]
        self.feed: Final = [tag + b"f" for tag in tags]
        self.outbox: Final = [tag + b"o" for tag in tags]
        self.mark: Final = [tag + b"m" for tag in tags]
        self.throttle: Final = start + b"throttle"
        self.once: Final = start + b"once"
        self.incarnation: Final = start + b"life"
        self._sessions = [tag + b"s" for tag in tags]
        self._accounts = start + b"a"

    def session(self, session_id: bytes) -> bytes:
        """The key of a session."""
        return self._sessions[session_id[-1] % BUCKETS] + session_id

    def account(self, account_id: bytes) -> bytes:
        """The key of an account's list."""
        return self._accounts + account_id

    @staticmethod
    def slot(key: bytes) -> int:
        """The Cluster slot of a key."""
        slot: int = key_slot(key)
        return slot

    def request(self, name: str, key: bytes, *values: Any) -> Request:  # noqa: ANN401
        """A command on one key that may be repeated."""
        return Request(key_slot(key), (name, key, *values), repeatable=True)


@cache
def _tags() -> list[int]:
    """A number for each bucket: the smallest with a slot in that 64th of all slots.

    So masters with equal shares of the slots have equal shares of the buckets.
    """
    wide = REDIS_CLUSTER_HASH_SLOTS // BUCKETS
    found: dict[int, int] = {}
    number = 0
    while len(found) < BUCKETS:
        found.setdefault(key_slot(b"%d" % number) // wide, number)
        number += 1
    return [found[place] for place in range(BUCKETS)]
