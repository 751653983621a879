"""Contract: webhooks and their deliveries. None is lost, none is handed over twice."""

# ruff: noqa: S101, PLR2004, ANN401 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest
from msgspec.structs import replace

from watchword.core import limits
from watchword.core.limits import HOUR, MINUTE, WEBHOOK_SHOWN
from watchword.core.session import time_ordered_id
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.webhooks import Delivery, DeliveryState, Webhook
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    an_event,
    identifier,
    sweep_up,
)

LATER: Final = START + MINUTE
_MADE: Final = an_event(EventType.WEBHOOK_CREATED)
_CHANGED: Final = an_event(EventType.WEBHOOK_CHANGED)
_GONE: Final = an_event(EventType.WEBHOOK_DELETED)


def a_webhook(number: int = 1, **fields: Any) -> Webhook:
    """A webhook of all fields."""
    webhook = Webhook(
        id=identifier(number),
        url=f"https://hooks.example/{number}?of=us",
        topics=("account.*", "session.ended"),
        sealed=b"secret 1 and sealed contents",
        created_at=START,
        handed_over=7,
        allow_private=number % 2 == 0,
    )
    return replace(webhook, **fields)


def a_delivery(number: int = 1, *, of: Webhook, **fields: Any) -> Delivery:
    """A delivery that is due."""
    at = fields.get("created_at", START)
    delivery = Delivery(
        id=time_ordered_id(at, number.to_bytes(10)),
        webhook_id=of.id,
        topic="session.ended",
        body='{"type":"session.ended","data":{"event":1}} ü',
        created_at=at,
        not_before=at,
    )
    return replace(delivery, **fields)


async def added(stores: Stores, *webhooks: Webhook) -> None:
    """Write these webhooks."""
    for webhook in webhooks:
        assert await stores.webhooks.add(webhook, _MADE, 20)


class Webhooks(OnAStore):
    """Webhooks from their making to their end, and deliveries from theirs."""

    async def test_webhooks_come_back_up_to_a_number(self, stores: Stores) -> None:
        """In order of id and as they were; one too many is not written, nor told of."""
        two = a_webhook(2, topics=(), disabled=True, failing_since=LATER, version=3)
        assert await stores.webhooks.add(two, _MADE, 2)
        assert await stores.webhooks.add(a_webhook(1), _MADE, 2)
        assert not await stores.webhooks.add(a_webhook(3), _MADE, 2)
        assert await stores.webhooks.all() == [a_webhook(1), two]
        assert [one for _, one in await stores.audit.read(0, 9)] == [_MADE, _MADE]

    async def test_webhook_is_changed_by_version(self, stores: Stores) -> None:
        """What was seen counts. Its place in the log is written while it is off."""
        row = a_webhook(1)
        await added(stores, row)
        after = replace(row, url="https://x.example/", failing_since=START, version=1)
        moved = replace(after, handed_over=99)
        assert await stores.webhooks.swap(row, moved, _CHANGED)
        assert not await stores.webhooks.swap(row, after, _CHANGED)
        assert not await stores.webhooks.swap(row, None, _GONE)
        assert not await stores.webhooks.swap(a_webhook(2), after, _CHANGED)
        assert await stores.webhooks.all() == [after]
        # The same version again: a failure is no change that an operator has to see.
        off = replace(after, disabled=True)
        assert await stores.webhooks.swap(after, off, None)
        assert await stores.webhooks.swap(off, replace(moved, topics=()), None)
        assert await stores.webhooks.all() == [replace(moved, topics=())]
        events = [one for _, one in await stores.audit.read(0, 9)]
        assert events == [_MADE, _CHANGED]

    async def test_deliveries_go_with_their_webhook(self, stores: Stores) -> None:
        """In any state; those of another one stay."""
        one, two = a_webhook(1), a_webhook(2)
        await added(stores, one, two)
        rows = [a_delivery(number, of=one) for number in range(5)]
        assert await stores.deliveries.hand_over(one.id, 7, 8, rows)
        other = a_delivery(9, of=two)
        assert await stores.deliveries.hand_over(two.id, 7, 8, [other])
        await stores.deliveries.settle(replace(rows[0], state=DeliveryState.GIVEN_UP))
        assert await stores.webhooks.swap(one, None, _GONE)
        assert await stores.deliveries.list(one.id, limit=9) == []
        assert await stores.deliveries.list(two.id, limit=9) == [other]
        assert not await stores.deliveries.hand_over(one.id, 8, 9, rows)
        assert [row.id for row in await stores.webhooks.all()] == [two.id]
        assert (await stores.audit.read(2, 9))[0][1] == _GONE

    async def test_events_are_handed_over_once(self, stores: Stores) -> None:
        """From the place that was seen, and to none that is disabled."""
        row, off = a_webhook(1), a_webhook(2, disabled=True)
        await added(stores, row, off)
        first, second = a_delivery(1, of=row), a_delivery(2, of=row)
        assert await stores.deliveries.hand_over(row.id, 7, 9, [first])
        assert not await stores.deliveries.hand_over(row.id, 7, 9, [second])
        assert not await stores.deliveries.hand_over(off.id, 7, 9, [second])
        assert await stores.deliveries.hand_over(row.id, 9, 12, [])
        assert [one.handed_over for one in await stores.webhooks.all()] == [12, 7]
        assert await stores.deliveries.list(row.id, limit=9) == [first]

    async def test_lease_excludes_others_until_it_is_over(self, stores: Stores) -> None:
        """A sender that dies holds a delivery up until then, and loses none."""
        row, other = a_webhook(1), a_webhook(2)
        await added(stores, row, other)
        due, second = a_delivery(1, of=row), a_delivery(2, of=row)
        late = a_delivery(3, of=row, not_before=LATER)
        await stores.deliveries.hand_over(row.id, 7, 9, [second, late, due])
        await stores.deliveries.hand_over(other.id, 7, 9, [a_delivery(4, of=other)])
        lease = stores.deliveries.lease
        assert await lease(row.id, START - 1, LATER, 9) == []
        assert await lease(row.id, START, LATER, 1) == [due]
        assert await lease(row.id, START, LATER, 9) == [second]
        assert await lease(row.id, LATER - 1, LATER, 9) == []
        assert await lease(row.id, LATER, LATER + MINUTE, 9) == [due, second, late]

    async def test_settled_delivery_keeps_what_came_of_it(self, stores: Stores) -> None:
        """One that is to be tried again is due then; others are never leased again."""
        row = a_webhook(1)
        await added(stores, row)
        again, done, lost = (a_delivery(number, of=row) for number in (1, 2, 3))
        await stores.deliveries.hand_over(row.id, 7, 9, [again, done, lost])
        leased = await stores.deliveries.lease(row.id, START, LATER + MINUTE, 9)
        assert leased == [again, done, lost]
        tried = {"attempts": 1, "tried_at": START, "status": 503, "answer": "busy ü"}
        again = replace(again, not_before=LATER, **tried)
        done = replace(done, state=DeliveryState.DELIVERED, **tried | {"status": 204})
        lost = replace(lost, state=DeliveryState.GIVEN_UP, **tried | {"status": None})
        for one in (again, done, lost, a_delivery(9, of=row)):
            await stores.deliveries.settle(one)
        # A process that comes late, after its lease, takes nothing back.
        for one in (done, lost):
            late = replace(one, state=DeliveryState.WAITING)
            await stores.deliveries.settle(late)
        assert await stores.deliveries.lease(row.id, LATER - 1, LATER, 9) == []
        assert await stores.deliveries.lease(row.id, LATER, LATER + 1, 9) == [again]
        listed = await stores.deliveries.list(row.id, limit=9)
        assert listed == [lost, done, again]
        page = await stores.deliveries.list(row.id, before=lost.id, limit=1)
        assert page == [done]
        assert await stores.deliveries.waiting(row.id) == (1, START)

    async def test_all_that_wait_are_hurried(self, stores: Stores) -> None:
        """But those that are leased, or of another webhook."""
        row, other = a_webhook(1), a_webhook(2)
        await added(stores, row, other)
        late = [a_delivery(n, of=row, not_before=START + HOUR) for n in range(3)]
        under_way = a_delivery(8, of=row)
        await stores.deliveries.hand_over(row.id, 7, 9, [*late, under_way])
        elsewhere = a_delivery(9, of=other, not_before=START + HOUR)
        await stores.deliveries.hand_over(other.id, 7, 9, [elsewhere])
        await stores.deliveries.lease(row.id, START, LATER, 9)
        assert await stores.deliveries.waiting(row.id) == (4, START)
        assert await stores.deliveries.hurry(row.id, START + 1) == 3
        due = await stores.deliveries.lease(row.id, START + 1, LATER, 9)
        assert due == [replace(one, not_before=START + 1) for one in late]
        assert await stores.deliveries.lease(other.id, START + 1, LATER, 9) == []
        assert await stores.deliveries.waiting(a_webhook(3).id) == (0, None)

    async def test_webhooks_are_sealed_again(self, stores: Stores) -> None:
        """Each says under which secret; a gone one, or one that changed, stays so."""
        new = b"secret 2 and sealed again"
        rows = [a_webhook(number) for number in (1, 2)]
        await added(stores, *rows)
        assert await stores.webhooks.sealed_under() == {b"secret 1": 2}
        again = {
            rows[0].id: (rows[0].sealed, new),
            rows[1].id: (b"not that", new),
            identifier(9): (rows[0].sealed, new),
        }
        await stores.webhooks.reseal(again)
        assert await stores.webhooks.sealed_under() == {b"secret 1": 1, b"secret 2": 1}
        assert await stores.webhooks.all() == [replace(rows[0], sealed=new), rows[1]]

    async def test_sweep_leaves_what_waits_and_some_of_the_rest(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was delivered is kept for a while, and the latest so many of it."""
        monkeypatch.setattr(limits, "WEBHOOK_SHOWN_MAX", 3)
        row, now = a_webhook(1), START + WEBHOOK_SHOWN + 1
        await added(stores, row)
        rows = [a_delivery(1, of=row), a_delivery(2, of=row)]
        rows += [a_delivery(n, of=row, created_at=now) for n in range(3, 8)]
        await stores.deliveries.hand_over(row.id, 7, 9, rows)
        for one in (*rows[1:3], *rows[4:]):
            await stores.deliveries.settle(replace(one, state=DeliveryState.DELIVERED))
        await sweep_up(stores, now)
        kept = await stores.deliveries.list(row.id, limit=9)
        assert [one.id for one in kept] == [
            rows[number].id for number in (6, 5, 4, 3, 0)
        ]

    async def test_of_senders_at_once_each_has_deliveries_of_its_own(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Each page of the log is handed over by one, each delivery leased by one."""
        row, pages = a_webhook(1), 20
        await added(stores, row)

        def caller(name: int) -> Job[list[bytes]]:
            async def job(stores: Stores) -> list[bytes]:
                leased: list[Delivery] = []
                for page in range(7, 7 + pages):
                    number = 100 * name + page
                    made = [a_delivery(number, of=row), a_delivery(number + 50, of=row)]
                    await stores.deliveries.hand_over(row.id, page, page + 1, made)
                    leased += await stores.deliveries.lease(row.id, START, LATER, 3)
                while more := await stores.deliveries.lease(row.id, START, LATER, 3):
                    leased += more
                return [one.id for one in leased]

            return job

        leased = await crowd.run([caller(name) for name in range(1, 5)])
        counted = Counter(one for some in leased for one in some)
        listed = await stores.deliveries.list(row.id, limit=999)
        assert len(listed) == 2 * pages
        assert counted == Counter(one.id for one in listed)
        (after,) = await stores.webhooks.all()
        assert after.handed_over == 7 + pages
