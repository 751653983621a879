"""The audit log, as operators read it."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.admin.pages import Cursors, Page
from watchword.core import limits
from watchword.ports.audit import AuditLog, Event, EventFilter


class EventAdmin:
    """Searches the audit log, and follows it."""

    def __init__(self, *, audit: AuditLog, cursors: Cursors) -> None:
        self._audit = audit
        self._cursors = cursors

    async def list(
        self,
        wanted: EventFilter,
        *,
        after: str | None = None,
        limit: int = limits.ADMIN_LIST,
    ) -> Page[tuple[int, Event]]:
        """Events with their sequence numbers, newest first. Raises InvalidRequest."""
        raise NotImplementedError

    async def since(
        self, wanted: EventFilter, sequence: int, limit: int
    ) -> Sequence[tuple[int, Event]]:
        """The newest events after that sequence number: for a list that follows."""
        raise NotImplementedError
