"""Writes the figures of each minute, for the charts of the console.

Each process adds what it has counted since it wrote last. What it has written is
marked in its page: so the process that has the page next writes the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.session import Alive
from watchword.metrics.catalog import Gauge
from watchword.metrics.charts import LEVELS, Figure, counts_of
from watchword.metrics.pages import Page
from watchword.ports.once import ReplayCache
from watchword.ports.outbox import Outbox
from watchword.ports.stats import Stat, StatsStore
from watchword.ports.webhooks import DeliveryStore, WebhookStore

_CLOSING: Final = 2.0
_log = logging.getLogger("watchword.metrics")


class Figures:
    """The figures of one process.

    `alive` says which sessions are alive at an instant, and `queue` how many passwords
    have waited at once since it was asked last.
    """

    def __init__(
        self,
        page: Page,
        *,
        stats: StatsStore,
        once: ReplayCache,
        outbox: Outbox,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        alive: Callable[[int], Alive],
        queue: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._page = page
        self._stats = stats
        self._once = once
        self._outbox = outbox
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._alive = alive
        self._queue = queue
        self._clock = clock
        self._writing: asyncio.Future[None] | None = None
        self._written = {
            (name, label): int(number) for name, label, number in page.marks()
        }

    async def write(self) -> None:
        """Write what was counted since the last time. Raises StoreUnavailable.

        Called once every STATS_EVERY. After a fault the next call writes it. It is not
        cut off where its caller is: else it would not be known what was written.
        """
        self._writing = asyncio.ensure_future(self._write())
        await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Write the rest, if the store takes it soon."""
        try:
            async with asyncio.timeout(_CLOSING):
                if self._writing is not None:
                    await asyncio.wait([self._writing])
                await self._add(self._minute(), ())
        except Exception as error:  # noqa: BLE001 - the process ends in any case
            _log.warning("the last figures were not written: %s", type(error).__name__)

    async def _write(self) -> None:
        minute = self._minute()
        levels = [Stat(minute, Figure.HASH_QUEUE, "", self._queue())]
        turn = b"stats %d" % minute
        until = minute + 2 * limits.STATS_EVERY
        # The first process to use this key counts what all of them share.
        if all(await self._once.use_once([(turn, until)])):
            totals = await self._stats.totals(self._alive(self._clock()))
            levels += [
                Stat(minute, Figure.SESSIONS_LIVE, "", totals.sessions),
                Stat(minute, Figure.ACCOUNTS, "", totals.accounts),
                Stat(minute, Figure.WITH_FACTOR, "", totals.with_factor),
            ]
        await self._add(minute, levels)
        await self._show(minute)

    def _minute(self) -> int:
        now = self._clock()
        return now - now % limits.STATS_EVERY

    async def _add(self, minute: int, levels: Sequence[Stat]) -> None:
        new = [
            (name, label, count)
            for (name, label), count in counts_of(self._page.read()).items()
            if count > self._written.get((name, label), 0)
        ][: limits.STATS_MAX - len(LEVELS)]
        rows = [
            Stat(minute, name, label, count - self._written.get((name, label), 0))
            for name, label, count in new
        ]
        await self._stats.add(rows, levels)
        for name, label, count in new:
            self._page.mark(name, label, count)
            self._written[name, label] = count

    async def _show(self, minute: int) -> None:
        """Show in a scrape what one process has counted for all, and what waits."""
        since = minute - 2 * limits.STATS_EVERY
        for stat in await self._stats.read(since, minute + limits.STATS_EVERY):
            if stat.name == Figure.SESSIONS_LIVE:
                self._page.set(Gauge.SESSIONS_LIVE, stat.n)
        now = self._clock()
        mails = await self._outbox.list(limit=1)
        made = [int.from_bytes(one.message.id[:6]) for one in mails]
        self._set_oldest("mail", made, now)
        # Nothing is sent to one that is disabled, however long it waits.
        waiting = [
            await self._deliveries.waiting(one.id)
            for one in await self._webhooks.all()
            if not one.disabled
        ]
        made = [oldest for _, oldest in waiting if oldest is not None]
        self._set_oldest("webhook", made, now)

    def _set_oldest(self, kind: str, made: Sequence[int], now: int) -> None:
        age = max((now - instant for instant in made), default=0) / limits.SECOND
        self._page.set(Gauge.OUTBOX_OLDEST, max(age, 0.0), kind)
