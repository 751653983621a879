"""From the audit log to deliveries: each webhook has its place in the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.session import as_text, time_ordered_id
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.webhooks import Delivery, DeliveryStore, Webhook
from watchword.webhooks.topics import any_is_in, topics_of


class HandOver:
    """Writes the deliveries of new events. Every process may do so at any time."""

    def __init__(
        self,
        *,
        deliveries: DeliveryStore,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._deliveries = deliveries
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    async def hand_over(self, webhooks: Sequence[Webhook]) -> None:
        """Write what these webhooks are to hear of, as far as there is room.

        They are mostly at the same place in the log, which is read once a place. One
        that is far behind is handed WEBHOOK_PAGES at most: the rest is for the next
        call, so that what is due is sent meanwhile.
        """
        behind = {webhook: webhook.handed_over for webhook in webhooks}
        for _ in range(limits.WEBHOOK_PAGES):
            pages: dict[int, Sequence[tuple[int, Event]]] = {}
            onward: dict[Webhook, int] = {}
            for webhook, seen in behind.items():
                if seen not in pages:
                    pages[seen] = await self._audit.read(seen, limits.WEBHOOK_READ)
                last = await self._page(webhook, seen, pages[seen])
                if last is not None:
                    onward[webhook] = last
            behind = onward

    async def _page(
        self, webhook: Webhook, seen: int, events: Sequence[tuple[int, Event]]
    ) -> int | None:
        """Hand one page of events over. Where the next one begins; None if that is all.

        A page ends early where no more may wait: its rest stays in the log.
        """
        wanted = [
            (sequence, event, _wanted(webhook, event)) for sequence, event in events
        ]
        room = 0
        if any(topics for _, _, topics in wanted):
            waiting, _ = await self._deliveries.waiting(webhook.id)
            room = limits.WEBHOOK_WAITING_MAX - waiting
        last, bodies = seen, list[tuple[str, str]]()
        for sequence, event, topics in wanted:
            if len(bodies) + len(topics) > room:
                break
            bodies += [(one, body_of(one, sequence, event)) for one in topics]
            last = sequence
        if last == seen:
            return None
        made = self._deliveries_of(webhook, bodies)
        # Where another process was first, it goes on from there.
        if not await self._deliveries.hand_over(webhook.id, seen, last, made):
            return None
        is_whole = last == events[-1][0]
        return last if is_whole and len(events) == limits.WEBHOOK_READ else None

    def _deliveries_of(
        self, webhook: Webhook, bodies: Sequence[tuple[str, str]]
    ) -> list[Delivery]:
        now = self._clock()
        # In order, so that a list of them is in the order of their events.
        ids = sorted(time_ordered_id(now, self._entropy(10)) for _ in bodies)
        return [
            Delivery(
                id=one,
                webhook_id=webhook.id,
                topic=topic,
                body=body,
                created_at=now,
                not_before=now,
            )
            for one, (topic, body) in zip(ids, bodies, strict=True)
        ]


def _wanted(webhook: Webhook, event: Event) -> tuple[str, ...]:
    topics = topics_of(event)
    if not webhook.topics:
        return topics
    return tuple(one for one in topics if any_is_in((one,), webhook.topics))


def body_of(topic: str, sequence: int, event: Event) -> str:
    """What is sent: the topic, when it happened, and ids.

    A receiver asks for the rest, and so gets what holds by then. `event` is the
    sequence number in the audit log: the same in all deliveries of one event.
    """
    data: dict[str, str | int] = {"event": sequence}
    for name, found in (("subject", event.account_id), ("session", event.session_id)):
        if found is not None:
            data[name] = as_text(found)
    if event.client_id is not None:
        data["client"] = event.client_id
    if event.type is EventType.KEY_CHANGED:
        data["key"] = str(event.detail.get("active", ""))
    moment = datetime.fromtimestamp(event.at / limits.SECOND, UTC)
    timestamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"type": topic, "timestamp": timestamp, "data": data}
    return msgspec.json.encode(body).decode()
