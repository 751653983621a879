"""Each webhook hears of each event that it wants, once at least, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.patience import auntil
from tests.rows import each
from tests.servers.stores import STORES
from tests.webhooks.office import AWAY, BUSY, OK, Office, Programs, name_of
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
from watchword.core.limits import DAY, HOUR, MINUTE
from watchword.errors import (
    InvalidRequest,
    NotFound,
    StoreUnavailable,
    VersionChanged,
)
from watchword.ports.audit import EventType
from watchword.ports.sessions import ById
from watchword.ports.webhooks import DeliveryState
from watchword.testing import ManualClock
from watchword.testing.store_contract.examples import a_session, an_event, put
from watchword.webhooks import WebhookInvalid
from watchword.webhooks.transport import Answer

A, B = "https://a.example/in", "https://b.example/in"
BY: Final = By(Actor.OPERATOR, name="ana")


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = await Office.opened()
    yield office
    await office.close()


async def test_each_hears_of_what_it_wants_from_now_on_and_of_ids_alone(
    office: Office,
) -> None:
    await office.happens(EventType.TOKEN_REUSE)
    everything, secrets = await office.add(A)
    await office.add(B, "session.*", "key.rotated")
    for kind in (EventType.SIGN_IN, EventType.KEY_CHANGED, EventType.MAIL_FAILED):
        await office.happens(kind)
    await office.turn()
    read = [one.read(secrets.secret) for one in office.programs.came if one.url == A]
    of_topic = {one["type"]: one for one in read}
    assert list(of_topic) == ["sign_in.succeeded", "session.started", "key.rotated"]
    started = of_topic["session.started"]
    assert started["timestamp"] == "2027-01-15T08:00:00.000Z"
    assert list(started["data"]) == ["event", "subject", "session", "client"]
    assert started["data"]["client"] == "shop"
    assert of_topic["key.rotated"]["data"]["key"] == "kid-1"
    assert b"198.51.100.7" not in b"".join(one.body for one in office.programs.came)
    assert b"example.org" not in b"".join(one.body for one in office.programs.came)
    others = [one.body for one in office.programs.came if one.url == B]
    assert [b"session.started" in one for one in others] == [True, False]
    rows = await office.webhooks.deliveries(everything.id, limit=9)
    assert [one.state for one in rows] == [DeliveryState.DELIVERED] * 3
    assert [(one.status, one.attempts) for one in rows] == [(204, 1)] * 3
    assert office.programs.private == set()


async def test_a_receiver_that_is_down_for_an_hour_gets_each_delivery_once(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is back: all that waits follows the first that it takes, at once."""
    caplog.set_level(logging.DEBUG)
    webhook, _ = await office.add(A)
    await office.happens()
    await office.turn()
    assert len(office.programs.taken(A)) == 1
    office.programs.answers[A] = AWAY
    for _ in range(6):
        await office.happens(number=5)
        await office.passes(10 * MINUTE)
    assert (await office.row(webhook)).failing_since is not None
    assert (await office.webhooks.get(webhook.id)).waiting == 30
    assert len(office.programs.taken(A)) == 1
    office.programs.answers[A] = OK
    await office.happens()
    await office.turn()
    await office.turn()
    counted = Counter(office.programs.taken(A))
    assert len(counted) == 32
    assert set(counted.values()) == {1}
    status = await office.webhooks.get(webhook.id)
    assert (status.waiting, status.oldest) == (0, None)
    assert status.webhook.failing_since is None
    assert status.webhook.version == 0  # to an operator, nothing has changed
    name = name_of(webhook)
    assert await office.told() == [
        ("webhook_created", name, None),
        ("webhook_failed", name, "failing"),
    ]
    said = "".join(one.getMessage() for one in caplog.records)
    assert "msg_" in said
    assert "a.example" not in said
    assert "nothing listens" not in said


async def test_one_that_is_never_taken_is_given_up_after_three_days(
    office: Office,
) -> None:
    """Its tries follow the schedule: each a fifth late at most, and none early."""
    webhook, _ = await office.add(A)
    office.programs.answers[A] = BUSY
    await office.happens()
    await office.turn()
    for number, pause in enumerate(limits.WEBHOOK_TRIES[1:], start=1):
        (row,) = await office.webhooks.deliveries(webhook.id, limit=9)
        assert (row.state, row.attempts) == (DeliveryState.WAITING, number)
        assert pause <= row.not_before - office.clock() < pause * 1.2
        office.clock.now = row.not_before - 1
        await office.turn()
        assert len(office.programs.came) == number
        office.clock.advance(1)
        await office.turn()
    await office.passes(3 * DAY, every=DAY)
    assert len(office.programs.came) == len(limits.WEBHOOK_TRIES) == 10
    assert len({one.id for one in office.programs.came}) == 1
    (row,) = await office.webhooks.deliveries(webhook.id, limit=9)
    assert row.state is DeliveryState.GIVEN_UP
    assert (row.status, row.answer, row.attempts) == (503, "busy", 10)
    assert [change for *_, change in await office.told()] == [
        *(None, "failing", "given up")
    ]


async def test_a_receiver_that_asks_to_be_left_alone_is(office: Office) -> None:
    webhook, _ = await office.add(A)
    office.programs.answers[A] = Answer(503, "", HOUR)
    await office.happens()
    await office.turn()
    (row,) = await office.webhooks.deliveries(webhook.id, limit=9)
    assert row.not_before == office.clock() + HOUR


async def test_a_fault_of_a_library_is_a_try_that_failed(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    webhook, _ = await office.add(A)
    office.programs.answers[A] = ZeroDivisionError(f"of {A}")
    await office.happens()
    await office.turn()
    (row,) = await office.webhooks.deliveries(webhook.id, limit=9)
    assert (row.attempts, row.answer) == (1, "ZeroDivisionError")
    assert A not in caplog.text


async def test_a_delivery_that_is_refused_alone_is_tried_as_long_as_any(
    office: Office,
) -> None:
    """Others succeed beside it: it is tried with them, and loses none of its tries."""
    webhook, _ = await office.add(A)
    office.programs.answers[A] = BUSY
    await office.happens()
    await office.turn()
    refused, start = office.programs.came[-1].id, office.clock()
    office.programs.answers = {refused: BUSY}
    while (await office.webhooks.get(webhook.id)).waiting:
        await office.passes(HOUR, every=HOUR)
        await office.happens()
        await office.turn()
    assert office.clock() - start >= sum(limits.WEBHOOK_TRIES)
    *_, row = await office.webhooks.deliveries(webhook.id, limit=999)
    assert (row.state, row.attempts) == (DeliveryState.GIVEN_UP, 10)
    assert len([one for one in office.programs.came if one.id == refused]) > 40


async def test_one_that_is_gone_is_disabled_and_hears_nothing_more(
    office: Office,
) -> None:
    webhook, _ = await office.add(A)
    office.programs.answers[A] = Answer(410, "gone")
    await office.happens()
    await office.turn()
    await office.happens()
    await office.passes(MINUTE)
    assert len(office.programs.came) == 1
    row = await office.row(webhook)
    assert (row.disabled, row.version) == (True, 1)
    assert (await office.told())[1:] == [
        ("webhook_updated", name_of(webhook), "disabled: 410 Gone")
    ]


async def test_one_that_does_not_answer_delays_no_other(office: Office) -> None:
    await office.add(A)
    await office.add(B)
    office.programs.answers[A] = None
    await office.happens(number=50)
    await office.turn()
    assert len(office.programs.taken(B)) == 50
    assert [one.url for one in office.programs.came].count(A) == 4


async def test_what_has_no_room_waits_in_the_audit_log(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_WAITING_MAX", 3)
    monkeypatch.setattr(limits, "WEBHOOK_READ", 2)
    webhook, _ = await office.add(A, "session.ended")
    office.programs.answers[A] = AWAY
    await office.happens(EventType.SIGN_IN, number=4)  # of which it wants nothing
    await office.happens(number=8)
    for _ in range(3):
        await office.turn()
        assert (await office.webhooks.get(webhook.id)).waiting == 3
    office.programs.answers[A] = OK
    await office.passes(HOUR)
    bodies = {one.body for one in office.programs.came}
    assert len(bodies) == len(set(office.programs.taken(A))) == 8


async def test_one_that_is_far_behind_is_handed_a_bounded_part_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what is due is sent meanwhile, and no process holds the whole log."""
    monkeypatch.setattr(limits, "WEBHOOK_READ", 2)
    webhook, _ = await office.add(A, "key.*")
    begun = (await office.row(webhook)).handed_over
    await office.happens(EventType.SIGN_IN, number=2 * limits.WEBHOOK_PAGES + 1)
    await office.happens(EventType.KEY_CHANGED)
    await office.turn()
    handed = (await office.row(webhook)).handed_over - begun
    assert handed == 2 * limits.WEBHOOK_PAGES
    await office.turn()
    assert len(office.programs.taken(A)) == 1


async def test_a_clock_that_was_ahead_keeps_no_delivery_waiting(
    office: Office,
) -> None:
    webhook, _ = await office.add(A)
    office.programs.answers[A] = AWAY
    now = office.clock()
    office.clock.advance(365 * DAY)
    await office.happens()
    await office.turn()
    office.clock.now = now
    assert await office.webhooks.retry(webhook.id, by=BY) == 1
    await office.turn()
    assert (await office.told())[-1] == (
        *("webhook_updated", name_of(webhook), "retried"),
    )
    (row,) = await office.webhooks.deliveries(webhook.id, limit=9)
    assert row.attempts == 2
    assert row.not_before - now < HOUR


async def test_of_several_processes_one_sends_and_another_goes_on(
    office: Office,
) -> None:
    """One that dies in the middle of a try loses nothing: the same id comes again."""
    await office.add(A)
    office.programs.answers[A] = None
    await office.happens()
    dying = office.another()
    await office.turn(dying)
    (first,) = [one.id for one in office.programs.came]
    office.programs.answers[A] = OK
    await office.happens(number=20)
    others = [office.sender, office.another()]
    await asyncio.gather(*(office.turn(one) for one in others))
    counted = Counter(office.programs.taken(A))
    assert len(counted) == 20
    assert set(counted.values()) == {1}
    office.clock.advance(limits.WEBHOOK_LEASE)
    await office.turn()
    assert office.programs.taken(A)[20:] == [first]


@pytest.mark.parametrize("store", ["postgresql-16", "valkey-9"])
async def test_on_servers_every_process_may_send(tmp_path: Path, store: str) -> None:
    """Also of sessions that are elsewhere: their events come by the audit log.

    Several processes hand over and send side by side, while sessions begin and end.
    """
    place = STORES[store].place(tmp_path)
    programs = Programs(ManualClock())
    offices = [
        Office(await place.open(name), name, programs) for name in ("a", "b", "c")
    ]
    try:
        await offices[0].add(A, "session.*")
        rows = [a_session(number) for number in range(12)]
        for row in rows:
            await asyncio.gather(
                put(offices[0].stores, row),
                offices[1].stores.sessions.end(
                    ById(rows[0].id), EndReason.LOGOUT, an_event(), 1
                ),
                *(one.sender.send_due() for one in offices),
            )

        async def all_came() -> bool:
            await asyncio.gather(*(one.sender.send_due() for one in offices))
            return len(programs.came) >= 13

        await auntil(all_came)
        counted = Counter(programs.taken(A))
        assert set(counted.values()) == {1}
        assert len({one.body for one in programs.came}) == len(counted) == 13
    finally:
        for one in offices:
            await one.close()
            await one.stores.backend.close()


async def test_both_secrets_sign_for_a_day(office: Office) -> None:
    webhook, old = await office.add(A)
    new = await office.webhooks.rotate_secret(webhook.id, version=0, by=BY)

    for since, believed in ((0, 4), (DAY - 1, 4), (DAY, 2)):
        office.clock.now = webhook.created_at + since
        await office.happens()
        await office.turn()
        post = office.programs.came[-1]
        assert len(post.headers["webhook-signature"].split()) == believed
        for secret in (new.secret, new.public_key):
            assert post.read(secret)
    for secret in (old.secret, old.public_key):
        assert office.programs.came[-2].read(secret)
        with pytest.raises(WebhookInvalid):
            office.programs.came[-1].read(secret)
    assert (await office.webhooks.get(webhook.id)).public_key == new.public_key
    row = await office.row(webhook)
    assert old.secret.encode()[6:30] not in row.sealed


async def test_what_happens_while_it_is_disabled_is_not_delivered(
    office: Office,
) -> None:
    """What waited before is, once it is enabled, at once."""
    webhook, _ = await office.add(A)
    office.programs.answers[A] = AWAY
    await office.happens()
    await office.turn()
    waited = office.programs.came[-1].id
    off = await office.webhooks.set_disabled(webhook.id, disabled=True, by=BY)
    assert await office.webhooks.set_disabled(webhook.id, disabled=True) == off
    office.programs.answers[A] = OK
    await office.happens(number=3)
    await office.passes(HOUR)
    assert office.programs.taken(A) == []
    await office.webhooks.set_disabled(webhook.id, disabled=False, version=1, by=BY)
    await office.happens()
    await office.turn()
    assert set(office.programs.taken(A)) == {waited, office.programs.came[-1].id}
    assert len(office.programs.taken(A)) == 2


async def test_changes_are_of_what_the_caller_saw(office: Office) -> None:
    webhook, _ = await office.add(A)
    await office.webhooks.set_disabled(webhook.id, disabled=True, version=0, by=BY)
    old: dict[str, Any] = {"version": 0, "by": BY}
    for row, (verb, more) in each(
        (("set_disabled", {"disabled": False}), ("rotate_secret", {}), ("remove", {}))
    ):
        with row, pytest.raises(VersionChanged):
            await getattr(office.webhooks, verb)(webhook.id, **more, **old)
    await office.webhooks.remove(webhook.id, version=1, by=BY)
    for row, verb in each(("get", "rotate_secret", "remove", "retry")):
        with row, pytest.raises(NotFound):
            await getattr(office.webhooks, verb)(webhook.id)
    kinds = [kind for kind, *_ in await office.told()]
    assert kinds == ["webhook_created", "webhook_updated", "webhook_deleted"]


async def test_webhooks_and_their_topics_are_bounded(office: Office) -> None:
    for topic in ("", "session", "*", "authn_login_success", "x" * 9999):
        with pytest.raises(InvalidRequest):
            await office.add(A, topic)
    made, _ = await office.add(A, "session.ended", "key.*", "session.ended")
    assert made.topics == ("key.*", "session.ended")
    for number in range(1, limits.WEBHOOKS_MAX):
        await office.add(f"{A}/{number}")
    with pytest.raises(InvalidRequest, match="20"):
        await office.add(B)


async def test_without_a_webhook_nothing_is_read_but_the_list_of_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(office.stores.audit, "read", fails)
    await office.happens()
    await office.turn()


async def test_a_store_that_is_away_costs_no_delivery(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken and could not be written is sent again, under the same id."""

    async def away(*_: Any) -> Any:
        raise StoreUnavailable

    await office.add(A)
    await office.happens()
    with monkeypatch.context() as patched:
        patched.setattr(office.stores.deliveries, "settle", away)
        await office.turn()
    await office.passes(2 * limits.WEBHOOK_LEASE)
    assert len(office.programs.taken(A)) == 2
    assert len(set(office.programs.taken(A))) == 1
