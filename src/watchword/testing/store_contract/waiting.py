"""Contract: the outbox. What waits is leased, postponed, sent in lanes, not lost."""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

import pytest

from watchword.core import limits
from watchword.core.limits import MINUTE
from watchword.errors import NameTaken
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.outbox import Lane, LeasedMessage, Message, MessageKind
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_message,
    a_trail,
    an_account,
)

LATER = START + MINUTE


def unknown(number: int, network: str = "one") -> Message:
    """A mail that waits, to an address that no account has confirmed."""
    return a_message(number, lane=Lane.UNKNOWN, network=network)


async def leased(
    stores: Stores, *, now: int = START, until: int = LATER, limit: int = 9
) -> list[LeasedMessage]:
    """What a sender of mail gets."""
    return await stores.outbox.lease(MessageKind.MAIL, now, until, limit)


class OutboxOfMessages(OnAStore):
    """Messages from their writing to their sending."""

    async def test_message_waits_with_what_it_tells_of(self, stores: Stores) -> None:
        """A write that is made has its message; one that is refused has none."""
        first, refused = a_message(1, account_id=an_account().id), a_message(2)
        trail = a_trail(EventType.ACCOUNT_CREATED, first)
        await stores.accounts.add(an_account(), trail)
        with pytest.raises(NameTaken):
            await stores.accounts.add(
                an_account("ada", 2), a_trail(EventType.ACCOUNT_CREATED, refused)
            )
        assert await stores.outbox.list(limit=9) == [LeasedMessage(first, 0)]

    async def test_messages_are_listed(self, stores: Stores) -> None:
        """In order of id, page by page; leased ones are among them."""
        rows = [a_message(1), unknown(2), a_message(3, not_before=LATER)]
        await stores.outbox.add(rows)
        await leased(stores)
        page = await stores.outbox.list(limit=2)
        page += await stores.outbox.list(after=page[-1].message.id, limit=2)
        assert [one.message for one in page] == rows

    async def test_lease_excludes_others_until_it_is_over(self, stores: Stores) -> None:
        """A sender that dies holds a message up until then, and loses none."""
        row = a_message()
        await stores.outbox.add([row])
        assert await leased(stores, now=START - 1) == []
        assert await leased(stores) == [LeasedMessage(row, 0)]
        assert await leased(stores, now=LATER - 1) == []
        again = await leased(stores, now=LATER, until=LATER + MINUTE)
        assert again == [LeasedMessage(row, 0)]
        await stores.outbox.done([row.id])
        assert await leased(stores, now=LATER + MINUTE) == []
        assert await stores.outbox.list(limit=9) == []

    async def test_postponed_message_is_due_again(self, stores: Stores) -> None:
        """At its new instant, with the number of its tries; a gone one is no fault."""
        row = a_message()
        await stores.outbox.add([row])
        await leased(stores, until=LATER + MINUTE)
        await stores.outbox.postpone(row.id, LATER, 1)
        await stores.outbox.postpone(b"unknown", LATER, 1)
        assert await leased(stores, now=LATER - 1) == []
        (again,) = await leased(stores, now=LATER)
        assert (again.message.not_before, again.attempts) == (LATER, 1)
        assert await stores.outbox.list(limit=9) == [again]

    async def test_confirmed_addresses_come_first(self, stores: Stores) -> None:
        """At most a third of a lease goes to others, however many of these wait."""
        strangers = [unknown(number) for number in range(20)]
        rows = [a_message(number) for number in range(30, 35)]
        await stores.outbox.add([*strangers, *rows])
        got = await leased(stores, limit=6)
        assert [one.message for one in got] == [*rows, strangers[0]]
        got = await leased(stores, limit=6)
        assert [one.message for one in got] == strangers[1:3]
        assert len(await leased(stores, limit=1)) == 1

    async def test_networks_take_turns(self, stores: Stores) -> None:
        """A network with many messages holds up none of the others."""
        flood = [unknown(number, "flood") for number in range(10)]
        others = [unknown(20, "two"), unknown(21, "three"), unknown(22, "two")]
        await stores.outbox.add([*flood, *others])
        got = await leased(stores, limit=9)
        assert [one.message for one in got] == [others[1], others[0], flood[0]]

    async def test_crowded_network_waits_for_others(self, stores: Stores) -> None:
        """Whatever else of it is due: also where one message of each is."""
        flood = [unknown(1, "flood"), unknown(2, "flood")]
        await stores.outbox.add([*flood, unknown(9, "quiet")])
        await stores.outbox.postpone(flood[1].id, LATER, 0)
        (got,) = await leased(stores, limit=3)
        assert got.message.network == "quiet"

    async def test_messages_are_sealed_again(self, stores: Stores) -> None:
        """Each says by its first bytes under which secret; a gone one stays gone."""
        old, new = b"secret 1", b"secret 2"
        rows = [a_message(number, sealed=old + b"plain") for number in (1, 2, 3)]
        await stores.outbox.add(rows)
        assert await stores.outbox.sealed_under() == {old: 3}
        gone = b"a message gone.."
        again = {rows[0].id: new + b"sealed", gone: new + b"sealed"}
        await stores.outbox.reseal(again)
        assert await stores.outbox.sealed_under() == {old: 2, new: 1}
        first, *others = await stores.outbox.list(limit=9)
        assert first.message.sealed == new + b"sealed"
        assert [one.message for one in others] == rows[1:]

    async def test_strangers_have_a_bounded_number_of_places(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The network that has most gives a place up for one that has less."""
        monkeypatch.setattr(limits, "UNKNOWN_WAITING_MAX", 4)
        flood = [unknown(number, "flood") for number in range(6)]
        late, account = unknown(8, "late"), a_message(9)
        await stores.outbox.add([*flood, late, account])
        waiting = [one.message for one in await stores.outbox.list(limit=9)]
        assert waiting == [*flood[:3], late, account]

    async def test_networks_of_one_provider_are_one_caller(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A caller with a /48 has thousands of /64: they hold up no other's message."""
        monkeypatch.setattr(limits, "UNKNOWN_WAITING_MAX", 4)
        flood = [unknown(number, f"2001:db8:7:{number}::/64") for number in range(6)]
        late = unknown(8, "2001:db8:8:1::/64")
        await stores.outbox.add([*flood, late, unknown(9, "2001:db8:7:9::/64")])
        waiting = [one.message for one in await stores.outbox.list(limit=9)]
        assert waiting == [*flood[:3], late]
        (first,) = await leased(stores, limit=3)
        assert first.message == late
