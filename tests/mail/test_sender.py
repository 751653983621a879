"""The sender: leases, tries again, keeps its rate, and lets no mail delay another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.mail.fakes import FakeAudit, FakeOutbox, FakeThrottle, FakeTransport
from watchword.bootstrap.parts import sender_of
from watchword.config import load_settings
from watchword.core import limits
from watchword.errors import StoreUnavailable
from watchword.keys.sealing import Sealing
from watchword.mail.composing import Composer
from watchword.mail.message import Mail, MailPurpose, open_mail, seal_mail
from watchword.mail.sender import Decided, MailSender
from watchword.ports.audit import EventType
from watchword.ports.outbox import Lane
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

SECRET = b"the-first-server-secret-0123456789-abcdefgh"
ACCOUNTS = {"ana@example.org", "ben@example.org", "cyn@example.org"}


class Office:
    """A sender, what it sends from, and where it sends to."""

    def __init__(self, rate: int = limits.MAIL_RATE_MAX) -> None:
        self.clock = ManualClock()
        self.entropy = SeededEntropy()
        self.outbox, self.throttle = FakeOutbox(), FakeThrottle()
        self.audit, self.transport = FakeAudit(), FakeTransport()
        self.sealing = Sealing([SECRET], "outbox", self.entropy)
        self.rate = rate
        self.writes: Callable[[], Awaitable[bool]] | None = None
        self.sender = self.another()

    def another(self) -> MailSender:
        return MailSender(
            outbox=self.outbox,
            throttle=self.throttle,
            audit=self.audit,
            sealing=self.sealing,
            decide=self.decide,
            composer=lambda: Composer(
                service="Us", sender="no-reply@id.example", links="https://id.example"
            ),
            transport=lambda: self.transport,
            rate=self.rate,
            clock=self.clock,
        )

    async def decide(self, mail: Mail) -> Decided | None:
        """As accounts do: only an address that has an account gets a reset."""
        if mail.purpose is MailPurpose.RESET and mail.to not in ACCOUNTS:
            return None
        if mail.purpose is MailPurpose.INVITATION:
            raise ZeroDivisionError
        known = not mail.to.endswith("@invented.example")
        return Decided(mail, Lane.CONFIRMED if known else Lane.UNKNOWN, self.writes)

    async def post(
        self,
        to: str,
        purpose: MailPurpose = MailPurpose.RESET,
        lane: Lane = Lane.CONFIRMED,
        network: str = "",
        account_id: bytes | None = None,
    ) -> bytes:
        mail = Mail(
            purpose=purpose,
            at=self.clock(),
            to=to,
            token="ww_cf_t",
            account_id=account_id,
        )
        message = seal_mail(
            mail, self.sealing, self.entropy, lane=lane, network=network
        )
        await self.outbox.add([message])
        return message.id

    async def turn(self) -> list[str]:
        """The addresses that got mail in one turn of the sender."""
        before = len(self.transport.sent)
        await self.sender.send_due()
        while sending := self.sender._sending:
            await asyncio.wait(sending)
        return self.transport.addresses[before:]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    yield made
    made.transport.never.set()
    await made.sender.close()


async def test_a_mail_is_sealed_until_it_is_sent_and_then_gone(office: Office) -> None:
    name = await office.post("ana@example.org")
    row = office.outbox.rows[name]
    assert b"example" not in row.message.sealed
    assert b"ww_cf_" not in row.message.sealed
    assert open_mail(row.message, office.sealing).to == "ana@example.org"
    assert await office.turn() == ["ana@example.org"]
    assert not office.outbox.rows
    assert await office.turn() == []


async def test_a_flood_of_invented_addresses_delays_no_account(office: Office) -> None:
    """The reset of an account waits among a thousand that are for no account."""
    for number in range(limits.UNKNOWN_WAITING_MAX):
        await office.post(f"x{number}@invented.example", lane=Lane.UNKNOWN)
    await office.post("ana@example.org", lane=Lane.UNKNOWN)
    assert await office.turn() == ["ana@example.org"]
    assert not office.outbox.rows
    assert len(office.throttle.counters) == len(["mail", "mail:ana@example.org"])


@pytest.mark.parametrize("needed", [True, False])
async def test_a_mail_writes_what_it_needs_when_its_turn_has_come(
    office: Office, *, needed: bool
) -> None:
    """A mail that is dropped has not taken the place of one that was sent."""
    written = []

    async def write() -> bool:
        written.append(office.transport.addresses)
        return needed

    office.writes = write
    for _ in range(limits.MAIL_ADDRESS_BURST + 1):
        await office.post("ana@example.org")
    sent = await office.turn()
    assert len(sent) == (limits.MAIL_ADDRESS_BURST if needed else 0)
    assert len(written) == limits.MAIL_ADDRESS_BURST
    assert not office.outbox.rows


async def test_a_decided_lane_counts_and_not_the_one_that_was_waited_in() -> None:
    office = Office(rate=60)
    for number in range(20):
        await office.post(f"x{number}@invented.example", MailPurpose.CONFIRM)
    await office.post("ana@example.org", lane=Lane.UNKNOWN)
    sent = await office.turn()
    assert sent.count("ana@example.org") == 1
    assert len(sent) == 1 + 60 // 6 // limits.MAIL_UNKNOWN_SHARE


async def test_what_waits_for_its_turn_is_looked_at_seldom_and_fairly() -> None:
    office = Office(rate=60)
    for number in range(300):
        address = f"x{number}@invented.example"
        await office.post(address, MailPurpose.CONFIRM, Lane.UNKNOWN, network="crowd")
    sent = await office.turn()
    office.outbox.leased = 0
    await office.post(
        "one@invented.example", MailPurpose.CONFIRM, Lane.UNKNOWN, "quiet"
    )
    for waited in range(60):
        office.clock.advance(limits.SECOND)
        sent += (now := await office.turn())
        if "one@invented.example" in now:
            assert waited * limits.SECOND <= 2 * limits.MINUTE // 20
    assert "one@invented.example" in sent
    assert len(sent) == 3 + 60 // 3
    assert office.outbox.leased < 5 * len(sent)


async def test_what_is_not_sent_is_tried_eight_times_and_then_told(
    office: Office,
) -> None:
    name = await office.post("ana@example.org")
    office.transport.broken.add("ana@example.org")
    waits = []
    for tried in range(1, limits.MAIL_TRIES):
        await office.turn()
        row = office.outbox.rows[name]
        assert row.attempts == tried
        waits.append(row.message.not_before - office.clock())
        office.clock.advance(waits[-1] - 1)
        await office.turn()
        assert office.outbox.rows[name].attempts == tried, "not before it is due"
        office.clock.advance(1)
    assert waits == [5000, 15_000, 45_000, 135_000, 405_000, 1_215_000, 3_600_000]
    assert not office.audit.events
    await office.turn()
    assert not office.outbox.rows
    (event,) = office.audit.events
    assert event.type is EventType.MAIL_FAILED
    assert event.detail == {
        "message": name.hex(),
        "reason": "the mail server answered 550",
        "purpose": "reset",
    }


async def test_a_retry_is_the_same_message_and_is_counted_once(office: Office) -> None:
    await office.post("ana@example.org")
    office.transport.broken.add("ana@example.org")
    for _ in range(4):
        await office.turn()
        office.clock.advance(limits.MAIL_BACKOFF_MAX)
    office.transport.broken.clear()
    assert await office.turn() == ["ana@example.org"]


@pytest.mark.parametrize("fault", ["a bug", "an unknown secret"])
async def test_a_fault_of_ours_counts_as_a_try(office: Office, fault: str) -> None:
    if fault == "a bug":
        name = await office.post("ana@example.org", MailPurpose.INVITATION)
    else:
        mine, office.sealing = office.sealing, Sealing([b"x" * 32], "outbox", bytes)
        name = await office.post("ana@example.org")
        office.sealing = mine
    await office.post("ben@example.org")
    assert await office.turn() == ["ben@example.org"]
    assert office.outbox.rows[name].attempts == 1


async def test_a_mailbox_that_does_not_answer_delays_no_other(office: Office) -> None:
    office.transport.silent.add("ana@example.org")
    await office.post("ana@example.org")
    await office.sender.send_due()
    await office.post("ben@example.org")
    await office.sender.send_due()
    for _ in range(20):
        await asyncio.sleep(0)
    assert office.transport.addresses == ["ben@example.org"]


async def test_strangers_that_do_not_answer_leave_room_for_accounts(
    office: Office,
) -> None:
    for number in range(100):
        address = f"x{number}@invented.example"
        office.transport.silent.add(address)
        await office.post(address, MailPurpose.CONFIRM, Lane.UNKNOWN)
    for _ in range(20):  # longer than it takes to fill every place
        await office.sender.send_due()
        await asyncio.sleep(0)
        office.clock.advance(limits.MAIL_POLL)
    await office.post("ana@example.org")
    await office.sender.send_due()
    for _ in range(20):
        await asyncio.sleep(0)
    assert office.transport.addresses == ["ana@example.org"]


async def test_a_sender_that_died_is_replaced_when_its_lease_is_over(
    office: Office,
) -> None:
    name = await office.post("ana@example.org")
    office.outbox.away = True  # killed after the mail server took the message
    assert await office.turn() == ["ana@example.org"]
    office.outbox.away = False
    office.sender = office.another()
    office.clock.advance(limits.MAIL_LEASE - 1)
    assert await office.turn() == [], "one sender at a time"
    office.clock.advance(1)
    assert await office.turn() == ["ana@example.org"]
    first, second = office.transport.sent
    assert first["message-id"] == second["message-id"] == f"<{name.hex()}@id.example>"
    assert first.as_bytes() == second.as_bytes()


async def test_a_store_that_is_away_costs_no_try(office: Office) -> None:
    name = await office.post("ana@example.org")

    async def away(mail: Mail) -> Decided | None:
        raise StoreUnavailable

    office.decide = away  # type: ignore[method-assign]  # for a while
    office.sender = office.another()
    await office.turn()
    assert office.outbox.rows[name].attempts == 0
    assert not office.audit.events


async def test_one_address_gets_three_mails_and_then_one_an_hour(
    office: Office,
) -> None:
    spellings = ["ana@example.org", "Ana@example.org", "a.na+x@example.org"]
    for to in [*spellings, *spellings]:
        await office.post(to, MailPurpose.CONFIRM)
    assert len(await office.turn()) == len(spellings)
    assert not office.outbox.rows, "silently: the rest is dropped"
    assert not office.audit.events
    office.clock.advance(limits.HOUR)
    await office.post("ana@example.org", MailPurpose.CONFIRM)
    await office.post("ana@example.org", MailPurpose.ALREADY_REGISTERED)
    assert await office.turn() == ["ana@example.org"]


async def test_nothing_uses_up_the_resets_of_an_account(office: Office) -> None:
    """Neither a stranger that registers the address, nor what a thief does to it.

    Nor do many resets use up the one that a change of the account granted.
    """
    for to in ("ana@example.org", "a.na@example.org", "ana+x@example.org"):
        await office.post(to, MailPurpose.CONFIRM)
        await office.post(to, MailPurpose.ALREADY_REGISTERED)
        await office.post("ana@example.org", MailPurpose.PASSWORD_CHANGED)
    await office.turn()
    for _ in range(5):
        await office.post("ana@example.org")
    assert await office.turn() == ["ana@example.org"] * 3
    await office.post("ana@example.org", account_id=bytes(16))
    assert await office.turn() == ["ana@example.org"]


async def test_a_notice_is_sent_whatever_else_was(office: Office) -> None:
    """A thief cannot use up the mails of the owner before taking the address."""
    for _ in range(5):
        await office.post("ana@example.org", MailPurpose.CONFIRM)
    await office.post("ana@example.org", MailPurpose.EMAIL_CHANGED)
    assert await office.turn() == ["ana@example.org"] * 4
    purposes = {str(one["subject"]) for one in office.transport.sent}
    assert "The address of your account was changed" in purposes


async def test_mail_keeps_its_rate_and_accounts_come_first() -> None:
    office = Office(rate=60)
    for number in range(40):
        address = f"x{number}@invented.example"
        await office.post(address, MailPurpose.CONFIRM, Lane.UNKNOWN)
    for number in range(40):
        await office.post(f"y{number}@known.example", MailPurpose.CONFIRM)
    sent = []
    for _ in range(20):
        sent += await office.turn()
        office.clock.advance(limits.SECOND)
    known = [one for one in sent if one.endswith("@known.example")]
    assert len(sent) <= 10 + 20, "ten at once, then one a second"
    assert len(known) >= 2 * len(sent) // 3
    assert sent[:10] == known[:10]
    for _ in range(150):
        sent += await office.turn()
        office.clock.advance(limits.SECOND)
    assert len(sent) == len(set(sent)) == 80, "each is sent, and once"
    assert all(row.attempts == 0 for row in office.outbox.rows.values())


async def test_a_server_that_stops_leaves_what_hangs_to_a_later_lease(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.mail.sender._CLOSING", 0.01)
    office.transport.silent.add("ana@example.org")
    name = await office.post("ana@example.org")
    await office.sender.send_due()
    await asyncio.sleep(0)
    await office.sender.close()
    assert office.outbox.rows[name].attempts == 0


async def test_the_settings_say_where_a_sender_sends(
    office: Office, tmp_path: Path
) -> None:
    stores = msgspec.structs.replace(
        await open_stores("memory:", office.entropy),
        outbox=office.outbox,
        throttle=office.throttle,
    )

    def made(**given: Any) -> MailSender | None:
        settings = load_settings(data=tmp_path, **given)
        return sender_of(settings, office.sealing, stores, office.decide, office.clock)

    assert made(issuer="https://id.example") is None
    name = await office.post("ana@example.org")
    office.sender = made() or office.sender
    await office.turn()
    kept = (tmp_path / "outbox" / f"{name.hex()}.eml").read_text()
    assert "http://127.0.0.1:8000/reset#ww_cf_t" in kept
    assert not office.outbox.rows


def test_messages_are_in_order_of_time() -> None:
    office = Office()
    mail = Mail(purpose=MailPurpose.RESET, at=office.clock(), to="ana@example.org")
    later = Mail(purpose=MailPurpose.RESET, at=office.clock() + 1, to="b@example.org")
    first, second = (
        seal_mail(one, office.sealing, office.entropy, lane=Lane.CONFIRMED)
        for one in (mail, later)
    )
    assert first.id < second.id
    assert len(first.id) == 16
