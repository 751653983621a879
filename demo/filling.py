"""Writes all of it through the stores, in the order in which it happened."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Final

from msgspec.structs import replace

from demo.clients import CLIENTS
from demo.happenings import Happenings
from demo.people import DEVICES, Person
from demo.traffic import minutes
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core.actor import Actor, By
from watchword.core.limits import DAY, MINUTE, SECOND
from watchword.core.session import as_text, time_ordered_id
from watchword.ports.audit import Trail
from watchword.ports.stats import Stat
from watchword.ports.webhooks import Delivery, DeliveryState, Webhook
from watchword.testing import ManualClock

SEED: Final = 41
ADMIN: Final = "mara.lindqvist"

_AT_ONCE: Final = 1_000
_NETWORK: Final = "203.0.113.7"
_WORKS: Final = "https://audit.harbour.invalid/in/9c41"
_FAILS: Final = "https://hooks.harbour.invalid/watch"
"""Hosts that can be in no network (RFC 2606): nothing is sent to a stranger."""
_WEBHOOKS: Final = {
    # What does not happen by itself: it would fail too.
    _WORKS: ("client.updated", "key.rotated"),
    _FAILS: ("factor.added", "session.ended", "session.started"),
}


async def fill(settings: Settings, password: str, now: int) -> None:
    """Fill the stores of these settings, which are empty."""
    clock = ManualClock(now - 400 * DAY)
    async with open_watchword(settings, clock=clock, background=False) as engine:
        await _Demo(engine, clock, now).write(password)


class _Demo:
    """An engine whose clock is moved, and what is written by it."""

    def __init__(self, engine: Watchword, clock: ManualClock, now: int) -> None:
        self._engine = engine
        self._stores = engine.stores
        self._clock = clock
        self._draw = random.Random(SEED)
        self._now = now
        self._by = By(Actor.OPERATOR, name="harbour")

    async def write(self, password: str) -> None:
        """All of it."""
        admin = await self._begin(password)
        week = Happenings(self._engine, self._draw, self._now, admin, self._by)
        writes = week.writes()
        for k in range(0, len(writes), _AT_ONCE):
            # In one turn of the event loop: they are one transaction then.
            await asyncio.gather(*(work() for _, work in writes[k : k + _AT_ONCE]))
        self._clock.now = self._now
        await self._webhooks()
        await self._stats(week)

    async def _begin(self, password: str) -> Person:
        """The first account, the keys and the clients."""
        engine = self._engine
        account = await engine.accounts.register(
            ADMIN, password, roles=["admin", "harbour-pilot"], by=self._by
        )
        address = f"{ADMIN}@harbour.example"
        after = replace(
            account,
            version=account.version + 1,
            email=address,
            email_key=address,
            email_confirmed_at=account.created_at,
        )
        await self._stores.accounts.swap(account, after, Trail())
        self._by = By(Actor.ADMIN, _NETWORK, after.subject)
        for client_id, given in CLIENTS.items():
            self._clock.advance(9 * DAY)
            await engine.clients.add(client_id, **given, by=self._by)
        await engine.clients.disable("harbour-map", by=self._by)
        for url, topics in _WEBHOOKS.items():
            # Disabled until all has happened: what happens before is not delivered.
            added, _ = await engine.webhooks.add(url, topics=topics, by=self._by)
            await engine.webhooks.set_disabled(added.id, disabled=True, by=self._by)
        for days in (13, 12, 11):
            # The next keys are published first, then they sign.
            self._clock.now = self._now - days * DAY
            await engine.keys.maintain()
        return Person(after, (), DEVICES[0], _NETWORK)

    async def _webhooks(self) -> None:
        """One that works, one that fails."""
        webhooks = self._engine.webhooks
        for status in await webhooks.list():
            row = await webhooks.set_disabled(
                status.webhook.id, disabled=False, by=self._by
            )
            fails = row.url == _FAILS
            if fails:
                before, since = row, self._now - 42 * MINUTE
                row = replace(row, version=row.version + 1, failing_since=since)
                await self._stores.webhooks.swap(before, row, None)
            deliveries = [
                self._delivery(row, k, waits=fails and k > 45) for k in range(60)
            ]
            last = row.handed_over
            await self._stores.deliveries.hand_over(row.id, last, last, deliveries)

    def _delivery(self, webhook: Webhook, k: int, *, waits: bool) -> Delivery:
        at = self._now - (60 - k) * 3 * MINUTE
        topic = self._draw.choice(webhook.topics)
        data = {"type": topic, "data": {"session": as_text(self._draw.randbytes(16))}}
        return Delivery(
            id=time_ordered_id(at, self._draw.randbytes(10)),
            webhook_id=webhook.id,
            topic=topic,
            body=json.dumps(data),
            created_at=at,
            not_before=self._now + k * MINUTE if waits else at,
            state=DeliveryState.WAITING if waits else DeliveryState.DELIVERED,
            attempts=3 if waits else 1,
            tried_at=self._now - 9 * MINUTE if waits else at + SECOND,
            status=502 if waits else 204,
            answer="<h1>Bad gateway</h1>" if waits else "",
        )

    async def _stats(self, week: Happenings) -> None:
        counts, levels = list[Stat](), list[Stat]()
        for one in minutes(self._draw, self._now, week.reuses, week.attack):
            counts += one.counts
            levels += one.levels
            if len(counts) > 20_000:
                await self._stores.stats.add(counts, levels)
                counts, levels = [], []
        await self._stores.stats.add(counts, levels)
