"""What the engine asks of the world, in prose that a store MUST keep.

Common to every verb: what it changes is durable before it returns; it happens whole or
not at all; the audit event that comes with a change is written in the same step; a
fault of the store raises StoreUnavailable, and then either nothing happened or the
caller cannot know (a commit whose answer was lost), so every verb can be asked again.

One file a port. `watchword.testing.store_contract` is these pages as a test suite.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from watchword.ports.accounts import AccountStore
from watchword.ports.audit import AuditLog
from watchword.ports.clients import ClientStore
from watchword.ports.keys import KeyStore
from watchword.ports.once import ReplayCache
from watchword.ports.sessions import SessionStore
from watchword.ports.throttle import Throttle


@runtime_checkable
class Store(
    SessionStore,
    AccountStore,
    ClientStore,
    ReplayCache,
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
