"""Feeds webhooks from the audit log, and sends what waits.

Each webhook has an `Endpoint` in each process, with places of its own: one that does
not answer delays no other, nor mail. What a process has leased and not settled is sent
by another one once the lease is over: with the same id, so that a receiver knows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from msgspec.structs import replace

from watchword.audit import OncePerMinute
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import SYSTEM
from watchword.core.session import as_text
from watchword.errors import TryAgain, WatchwordError
from watchword.keys.sealing import Sealing
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.webhooks import (
    Delivery,
    DeliveryState,
    DeliveryStore,
    Webhook,
    WebhookStore,
)
from watchword.reasons import reason_of
from watchword.webhooks.hand_over import HandOver
from watchword.webhooks.signing import message_id_of, open_keys
from watchword.webhooks.transport import Answer, Transport

_CLOSING: Final = 2.0
_GONE: Final = 410
_SUCCESS: Final = range(200, 300)
_log = logging.getLogger("watchword.webhooks")


class WebhookSender:
    """The sender of one process: each webhook has a task of its own there."""

    def __init__(
        self,
        *,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        audit: AuditLog,
        sealing: Sealing,
        clock: Clock,
        entropy: Entropy,
        transport: Transport | None = None,
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._sealing = sealing
        self._clock = clock
        self._entropy = entropy
        self._hand_over = HandOver(
            deliveries=deliveries, audit=audit, clock=clock, entropy=entropy
        )
        self._transport = transport
        self._endpoints: dict[bytes, Endpoint] = {}
        self._told = OncePerMinute()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send_due(self) -> None:
        """Hand over new events and begin to send what is due. Every WEBHOOK_POLL."""
        rows = [row for row in await self._webhooks.all() if not row.disabled]
        if rows and self._transport is None:
            # Few servers have webhooks. It takes half a second, so not on this thread.
            self._transport = await asyncio.to_thread(_poster)
        known = self._endpoints
        self._endpoints = {row.id: known.get(row.id) or self._of(row) for row in rows}
        for webhook_id in known.keys() - self._endpoints.keys():
            known[webhook_id].is_open = False
        for row in rows:
            self._endpoints[row.id].row = row
            self._endpoints[row.id].is_open = True
        await self._hand_over.hand_over(rows)
        for endpoint in self._endpoints.values():
            await endpoint.fill()

    async def close(self) -> None:
        """Wait a moment for what is being sent, then leave it to a later lease."""
        for endpoint in self._endpoints.values():
            endpoint.is_open = False
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _of(self, row: Webhook) -> Endpoint:
        assert self._transport is not None  # noqa: S101 - opened with the first webhook
        return Endpoint(
            row,
            webhooks=self._webhooks,
            deliveries=self._deliveries,
            sealing=self._sealing,
            clock=self._clock,
            entropy=self._entropy,
            transport=self._transport,
            told=self._told,
            tasks=self._tasks,
        )


class Endpoint:
    """What one process sends to one webhook: WEBHOOK_PARALLEL deliveries at a time.

    `row` is the webhook as last read; while `is_open`, its places are filled.
    """

    def __init__(
        self,
        row: Webhook,
        *,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        sealing: Sealing,
        clock: Clock,
        entropy: Entropy,
        transport: Transport,
        told: OncePerMinute,
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self.row = row
        self.is_open = True
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._sealing = sealing
        self._clock = clock
        self._entropy = entropy
        self._transport = transport
        self._told = told
        self._tasks = tasks
        self._free = limits.WEBHOOK_PARALLEL

    async def fill(self) -> None:
        """Begin to send what is due, as far as places are free."""
        # Taken before the store is asked: another call may run meanwhile.
        free, self._free = self._free, 0
        leased: list[Delivery] = []
        try:
            if free and self.is_open:
                now = self._clock()
                until = now + limits.WEBHOOK_LEASE
                leased = await self._deliveries.lease(self.row.id, now, until, free)
        finally:
            self._free += free - len(leased)
        for delivery in leased:
            task = asyncio.create_task(self._attend(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _attend(self, delivery: Delivery) -> None:
        """Try one delivery, then go on. Where the store is away, its lease runs out."""
        try:
            await self._try(delivery)
        except TryAgain:
            said = "the store is away: webhook %s goes on when its lease has run out"
            _log.warning(said, as_text(self.row.id))
            return
        finally:
            self._free += 1
        with contextlib.suppress(TryAgain):
            await self.fill()

    async def _try(self, delivery: Delivery) -> None:
        answer = await self._answer(delivery)
        now = self._clock()
        if answer.status in _SUCCESS:
            await self._deliveries.settle(_delivered(delivery, answer, now))
            await self._succeeded(now)
            return
        jitter = int.from_bytes(self._entropy(4)) / 2**32
        after = failed(delivery, answer, now, jitter)
        if answer.status == _GONE:
            after = replace(after, state=DeliveryState.GIVEN_UP)
        await self._deliveries.settle(after)
        is_over = after.state is DeliveryState.GIVEN_UP
        _log.warning(
            "webhook %s: %s, try %d: %s",
            as_text(self.row.id),
            message_id_of(delivery.id),
            after.attempts,
            "given up" if is_over else "to be tried again",
        )
        await self._failed(answer, now, is_over=is_over)

    async def _answer(self, delivery: Delivery) -> Answer:
        row, body = self.row, delivery.body.encode()
        try:
            keys = open_keys(row.sealed, self._sealing, row.id)
            headers = keys.headers(delivery.id, body, self._clock())
            return await self._transport.post(
                row.url, body, headers, allow_private=row.allow_private
            )
        except WatchwordError as error:
            return Answer(None, str(error))
        except Exception as error:  # noqa: BLE001 - else it would be tried for ever
            _log.warning("webhook %s: %s", as_text(row.id), type(error).__name__)
            return Answer(None, reason_of(error)[: limits.WEBHOOK_ANSWER_MAX])

    async def _succeeded(self, now: int) -> None:
        since = self.row.failing_since
        if since is None:
            return
        await self._write(replace(self.row, failing_since=None), None)
        if now - since >= limits.WEBHOOK_HURRY:
            await self._deliveries.hurry(self.row.id, now)

    async def _failed(self, answer: Answer, now: int, *, is_over: bool) -> None:
        row = self.row
        if answer.status == _GONE:
            # RFC 9110 §15.5.11, and Standard Webhooks: the receiver is gone for good.
            after = replace(row, disabled=True, version=row.version + 1)
            kind, what = EventType.WEBHOOK_CHANGED, "disabled: 410 Gone"
            await self._write(after, self._event(kind, now, what))
            self.is_open = False
            return
        if row.failing_since is not None and not is_over:
            return
        # What was given up is told of, and that it fails: each once a minute at most.
        what = "given up" if is_over else "failing"
        is_told = self._told.is_due(now, f"{as_text(row.id)} {what}")
        kind, status = EventType.WEBHOOK_FAILED, answer.status or 0
        event = self._event(kind, now, what, status=status) if is_told else None
        since = now if row.failing_since is None else row.failing_since
        await self._write(replace(row, failing_since=since), event)

    async def _write(self, after: Webhook, event: Event | None) -> None:
        """Write the row, unless it has changed: then this is of no more interest."""
        before, self.row = self.row, after
        await self._webhooks.swap(before, after, event)

    def _event(self, kind: EventType, now: int, change: str, **more: int) -> Event:
        name = as_text(self.row.id)
        detail = SYSTEM.detail(webhook=name, change=change, **more)
        return Event(type=kind, at=now, detail=detail)


def failed(delivery: Delivery, answer: Answer, now: int, jitter: float) -> Delivery:
    """The delivery after a failure: due again later, or given up after the last try.

    A try before its time counts for nothing. None comes before the receiver wants one.
    An earlier try in the future was at a clock that has been set back: then this one
    counts, or the delivery would wait for that instant. `jitter` is at least 0 and less
    than 1.
    """
    attempts, tried_at = delivery.attempts, delivery.tried_at
    pause = limits.WEBHOOK_TRIES[attempts]
    if tried_at is None or not 0 <= now - tried_at < pause:
        attempts, tried_at = attempts + 1, now
    after = replace(
        delivery,
        attempts=attempts,
        tried_at=tried_at,
        status=answer.status,
        answer=answer.text,
    )
    if attempts == len(limits.WEBHOOK_TRIES):
        return replace(after, state=DeliveryState.GIVEN_UP)
    pause = limits.WEBHOOK_TRIES[attempts]
    later = tried_at + pause + int(jitter * pause / limits.WEBHOOK_JITTER)
    return replace(after, not_before=max(later, now + answer.wait))


def _delivered(delivery: Delivery, answer: Answer, now: int) -> Delivery:
    return replace(
        delivery,
        state=DeliveryState.DELIVERED,
        attempts=delivery.attempts + 1,
        tried_at=now,
        status=answer.status,
        answer=answer.text,
    )


def _poster() -> Transport:
    from watchword.webhooks.posting import Poster  # noqa: PLC0415 - an extra, and slow

    return Poster()
