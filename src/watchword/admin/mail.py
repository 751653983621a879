"""Mail, as operators see it: what waits, what was given up, and a test.

A message that waits is not opened: it has the address, and often a token. Shown is what
its row says in clear: whose account it is about, and how often it was tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from watchword.admin.operators import Operator
from watchword.admin.overview import Overview
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.throttle import Cost
from watchword.errors import MailNotSent, Throttled
from watchword.mail.writing import MailWriter
from watchword.metrics.charts import Figure
from watchword.ports import Stores
from watchword.ports.audit import Event, EventFilter, EventType
from watchword.ports.outbox import LeasedMessage, Outbox

SendTest = Callable[[str, str], Awaitable[object]]
"""Sends a test to that address, in that language. Raises MailNotSent."""

_LIST: Final = asked_for("mail")
_GIVEN_UP: Final = EventFilter(types=frozenset({EventType.MAIL_FAILED}))
_FAILURES: Final = 20
_TESTS: Final = Cost("mail-test", 5, limits.MINUTE)
"""A client with a right could otherwise flood a mailbox."""


class MailState(msgspec.Struct, frozen=True, kw_only=True):
    """How mail does: how many messages wait, and since when the oldest does (ms).

    `sent` and `given_up` are of the last 24 hours. `failures` are the events of the
    newest ones that were given up.
    """

    waiting: int
    waiting_since: int | None
    sent: int
    given_up: int
    failures: Sequence[Event]


class MailAdmin:
    """Shows what waits, and sends a test."""

    def __init__(
        self,
        *,
        stores: Stores,
        overview: Overview,
        writer: MailWriter,
        send_test: SendTest,
        cursors: Cursors,
        clock: Clock,
    ) -> None:
        self._stores = stores
        self._overview = overview
        self._writer = writer
        self._send_test = send_test
        self._cursors = cursors
        self._clock = clock

    async def state(self) -> MailState:
        """How mail does. Raises StoreUnavailable."""
        waiting, since = await waiting_in(self._stores.outbox)
        figures = (await self._overview.figures("24h")).of(Figure.MAIL)
        failures = await self._stores.audit.search(
            _GIVEN_UP, limit=_FAILURES, look=limits.ADMIN_LOOK
        )
        return MailState(
            waiting=waiting,
            waiting_since=since,
            sent=figures["sent"].total if "sent" in figures else 0,
            given_up=figures["given_up"].total if "given_up" in figures else 0,
            failures=[event for _, event in failures.events],
        )

    async def list(
        self, *, after: str | None = None, limit: int = limits.ADMIN_LIST
    ) -> Page[LeasedMessage]:
        """Messages that wait, in the order in which they were written.

        Raises InvalidRequest, StoreUnavailable.
        """
        behind = b""
        if after is not None:
            behind = bytes.fromhex(self._cursors.text_in(_LIST, after))
        size = checked_limit(limit)
        rows = await self._stores.outbox.list(after=behind, limit=size + 1)
        return self._cursors.first_of(
            _LIST, rows, size, lambda row: row.message.id.hex()
        )

    async def test(self, operator: Operator, to: str, *, locale: str = "") -> str:
        """Send a test to that address now, and wait for what the mail server says.

        Returns why it took no message, or "". Raises EmailInvalid; NotFound where no
        mail can be sent; Throttled, StoreUnavailable.
        """
        self._writer.require()
        address = self._writer.read_address(to).email
        now = self._clock()
        wait = await self._stores.throttle.take([_TESTS], now)
        if wait:
            message = "Too many tests: wait before the next."
            raise Throttled(message, retry_after=wait // limits.SECOND + 1)
        reason = ""
        try:
            await self._send_test(address, self._writer.locale(locale))
        except MailNotSent as error:
            reason = error.reason
        event = Event(
            type=EventType.MAIL_TESTED,
            at=now,
            address=operator.by.address,
            detail=operator.by.detail(sent=not reason, reason=reason),
        )
        await self._stores.audit.record(event)
        return reason


def written_at(leased: LeasedMessage) -> int:
    """When the message was written (ms): its id begins with that."""
    return int.from_bytes(leased.message.id[:6])


async def waiting_in(outbox: Outbox) -> tuple[int, int | None]:
    """How many messages wait, and when the oldest was written (ms)."""
    oldest = await outbox.list(limit=1)
    sealed = await outbox.sealed_under()
    return sum(sealed.values()), written_at(oldest[0]) if oldest else None
