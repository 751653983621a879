"""Webhooks and their deliveries, in tables of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watchword.core.limits import SECRET_NAME_BYTES, SWEEP_LIMIT
from watchword.ports.audit import Event, Trail
from watchword.ports.webhooks import Delivery, DeliveryState, Webhook
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import AFTER_ALL, Row, as_row, words


class SqlWebhooks:
    """Implements `WebhookStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, webhook: Webhook, event: Event, most: int) -> bool:
        def plan() -> Plan[bool]:
            if not (yield "add_webhook", [(*as_row(webhook), most)]):
                return False
            yield from leave(Trail((event,)))
            return True

        return await self._database.write_plan(plan)

    async def all(self) -> list[Webhook]:
        return [_webhook_of(row) for row in await self._database.query("webhooks")]

    async def swap(
        self, before: Webhook, after: Webhook | None, event: Event | None
    ) -> bool:
        def plan() -> Plan[bool]:
            if after is None:
                written = yield "delete_webhook", [(before.id, before.version)]
                yield "drop_waiting_deliveries", [(before.id,)] if written else []
            else:
                written = yield "swap_webhook", [_swap_row(before, after)]
            if written and event is not None:
                yield from leave(Trail((event,)))
            return bool(written)

        is_written = await self._database.write_plan(plan)
        if is_written and after is None:
            # There may be many. What is left, if this is cut off, is swept in its time.
            rest = [(before.id, SWEEP_LIMIT)]
            while await self._database.write_many("drop_deliveries", rest):
                pass
        return is_written

    async def sealed_under(self) -> Mapping[bytes, int]:
        return dict(
            await self._database.query("secrets_of_webhooks", SECRET_NAME_BYTES)
        )

    async def reseal(self, again: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        rows = [(after, one, before) for one, (before, after) in sorted(again.items())]
        await self._database.write_many("reseal_webhook", rows)


class SqlDeliveries:
    """Implements `DeliveryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hand_over(
        self, webhook_id: bytes, seen: int, last: int, deliveries: Sequence[Delivery]
    ) -> bool:
        def plan() -> Plan[bool]:
            written = yield "hand_over", [(last, webhook_id, seen)]
            if written:
                yield "add_delivery", [as_row(one) for one in deliveries]
            return bool(written)

        return await self._database.write_plan(plan)

    async def lease(
        self, webhook_id: bytes, now: int, until: int, limit: int
    ) -> list[Delivery]:
        # Read beside the writers, and then taken one by one on a condition: a sender
        # with nothing to do asks often, and costs no transaction.
        due = await self._database.query("due_deliveries", webhook_id, now, limit)
        taken = [(until, one, now) for (one,) in sorted(due)]
        rows = await self._database.write_many("lease_delivery", taken)
        return sorted(map(_delivery_of, rows), key=lambda one: one.id)

    async def settle(self, after: Delivery) -> None:
        await self._database.write_many("settle_delivery", [_settle_row(after)])

    async def hurry(self, webhook_id: bytes, now: int) -> int:
        rows = await self._database.write_many("hurry", [(webhook_id, now)])
        return len(rows)

    async def waiting(self, webhook_id: bytes) -> tuple[int, int | None]:
        ((count, oldest),) = await self._database.query(
            "waiting_deliveries", webhook_id
        )
        return count, oldest

    async def list(
        self, webhook_id: bytes, *, before: bytes | None = None, limit: int
    ) -> list[Delivery]:
        begin = AFTER_ALL if before is None else before
        query = self._database.query
        rows = await query("list_deliveries", webhook_id, begin, limit)
        return [_delivery_of(row) for row in rows]


def _webhook_of(row: Iterable[Any]) -> Webhook:
    """The webhook in a row of all columns."""
    values = dict(zip(Webhook.__struct_fields__, row, strict=True))
    values["topics"] = words(values["topics"])
    for name in ("allow_private", "disabled"):
        values[name] = values[name] == 1
    return Webhook(**values)


def _delivery_of(row: Iterable[Any]) -> Delivery:
    """The delivery in a row of all columns."""
    values = dict(zip(Delivery.__struct_fields__, row, strict=True))
    return Delivery(**{**values, "state": DeliveryState(values["state"])})


def _swap_row(before: Webhook, after: Webhook) -> Row:
    """The values that a swap writes, then the id and the version that it looks for."""
    return (
        *(after.url, " ".join(after.topics), after.sealed, after.allow_private),
        *(after.disabled, after.failing_since, after.version, after.handed_over),
        *(before.id, before.version),
    )


def _settle_row(after: Delivery) -> Row:
    """The values that a try changes, then the id."""
    return (
        *(after.not_before, after.state, after.attempts, after.tried_at),
        *(after.status, after.answer, after.id),
    )
