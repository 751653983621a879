"""Webhooks: where events are sent, and their deliveries.

The audit log is what a webhook is fed from. Each has a place in it (`handed_over`): a
process reads the events that follow, and writes their deliveries and the new place in
one step. So an event that was committed is handed over once, whatever process dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from watchword.ports.audit import Event


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that hears of events.

    `id` has 16 bytes and is time-ordered. `topics` are names such as `session.ended`,
    or groups such as `session.*`; without any it hears of everything. `sealed` has its
    secrets. `handed_over` is the sequence number of the last event that deliveries were
    made of. `failing_since` is the instant (ms) of the first failure since the last
    success. With `allow_private` its host may have addresses that are not public.
    """

    id: bytes
    url: str
    topics: tuple[str, ...]
    sealed: bytes
    created_at: int
    handed_over: int
    allow_private: bool = False
    disabled: bool = False
    failing_since: int | None = None
    version: int = 0


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one webhook; `id` (16 bytes, time-ordered) is its `webhook-id`.

    `body` is what is sent, byte for byte. `not_before` is when it is due (ms).
    `attempts` counts the tries that were due, `tried_at` is the latest of them: what is
    tried early, because another delivery succeeded, loses none. `status` and `answer`
    are of the latest answer: its status, and WEBHOOK_ANSWER_MAX characters at most, or
    the reason why there was none.
    """

    id: bytes
    webhook_id: bytes
    topic: str
    body: str
    created_at: int
    not_before: int
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    tried_at: int | None = None
    status: int | None = None
    answer: str = ""


class WebhookStore(Protocol):
    """Webhooks by id."""

    async def add(self, webhook: Webhook, event: Event, most: int) -> bool:
        """Write it; False where there are `most` already, and nothing is written."""

    async def all(self) -> list[Webhook]:
        """All webhooks, in order of id: WEBHOOKS_MAX at most."""

    async def swap(
        self, before: Webhook, after: Webhook | None, event: Event | None
    ) -> bool:
        """Write `after` where the row still has `before.version`; whether it did.

        None deletes it and its deliveries. `handed_over` is written only where the row
        was disabled: then nothing is handed over meanwhile.
        """

    async def sealed_under(self) -> Mapping[bytes, int]:
        """How many webhooks each server secret has sealed, by its name in front."""

    async def reseal(self, again: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        """By id, write the second of two contents where the row has the first."""


class DeliveryStore(Protocol):
    """Deliveries in order of id. They go with their webhook."""

    async def hand_over(
        self, webhook_id: bytes, seen: int, last: int, deliveries: Sequence[Delivery]
    ) -> bool:
        """Write deliveries, and `last` where `handed_over` still is `seen`.

        False where another process was first, or the webhook is gone or disabled; then
        nothing is written.
        """

    async def lease(
        self, webhook_id: bytes, now: int, until: int, limit: int
    ) -> list[Delivery]:
        """Up to `limit` that wait and are due, in order of id, leased `until` then.

        One that is leased MUST NOT be leased again before `until`.
        """

    async def settle(self, after: Delivery) -> None:
        """Write what came of a try, and end the lease.

        A row that is gone stays so, and one that no longer waits stays as it is: after
        the lease, another process may have delivered it.
        """

    async def hurry(self, webhook_id: bytes, now: int) -> int:
        """Make all that wait due now, but those that are leased; how many."""

    async def waiting(self, webhook_id: bytes) -> tuple[int, int | None]:
        """How many wait, and when the oldest of them was made (ms)."""

    async def list(
        self, webhook_id: bytes, *, before: bytes | None = None, limit: int
    ) -> list[Delivery]:
        """Deliveries in any state, newest first; only ids less than `before`."""
