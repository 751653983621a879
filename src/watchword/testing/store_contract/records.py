"""Contract: accounts, clients, throttle, keys used once, signing keys, audit log.

Each test is one promise of these ports.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from watchword.core.throttle import Cost
from watchword.errors import NameTaken
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.clients import Client
from watchword.ports.keys import KeyState, KeyUse
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    OPTIONS,
    a_client,
    a_cost,
    a_key,
    a_session,
    a_trail,
    an_account,
    an_event,
    sweep_up,
)

_CREATED = a_trail(EventType.ACCOUNT_CREATED)
_CHANGED = a_trail(EventType.ACCOUNT_CHANGED)
_CLIENT_CREATED = an_event(EventType.CLIENT_CREATED)
_CLIENT_CHANGED = an_event(EventType.CLIENT_CHANGED)
_FULL: dict[str, Any] = {
    "scope": OPTIONS.scope,
    "audience": OPTIONS.audience,
    "access_ttl": 300_000,
    "grants": ("refresh_token", "client_credentials"),
    "rights": ("introspect", "feed"),
    "dpop": True,
    "checks_dpop": True,
    "grace": 60_000,
    "disabled": True,
    "name": "The shop",
    "redirect_uris": ("https://shop.example/back?x=1", "app.example:/back"),
    "post_logout_redirect_uris": ("https://shop.example/",),
    "id_token_alg": "EdDSA",
    "trusted": True,
    "pkce": False,
    "par": True,
}


class Records(OnAStore):
    """The records that a store keeps besides sessions."""

    async def test_account_is_found_by_name_and_by_id(self, stores: Stores) -> None:
        """An account comes back as it was added, and its event with it."""
        account = an_account("gr\u00fc\u00df gott", roles=("admin", "reader"))
        bare = an_account("bare", 2, roles=(), disabled=True, epoch=3)
        for row in (account, bare):
            await stores.accounts.add(row, _CREATED)
            assert await stores.accounts.by_name(row.name) == row
            assert await stores.accounts.by_id(row.id) == row
        assert await stores.accounts.by_name("unknown") is None
        assert await stores.accounts.by_id(an_account("", 9).id) is None
        events = [event for _, event in await stores.audit.read(0, 10)]
        assert events == [*_CREATED.events, *_CREATED.events]

    async def test_name_is_taken_once(self, stores: Stores) -> None:
        """A second account of a name is refused, and leaves no trace."""
        first, second = an_account("ada", 1), an_account("ada", 2)
        await stores.accounts.add(first, _CREATED)
        same_id = msgspec.structs.replace(first, name="another")
        for refused in (second, same_id):
            with pytest.raises(NameTaken):
                await stores.accounts.add(refused, _CREATED)
        assert await stores.accounts.by_name("ada") == first
        assert await stores.accounts.by_id(second.id) is None
        assert await stores.audit.last() == 1

    async def test_accounts_are_listed_by_name(self, stores: Stores) -> None:
        """Pages that follow one another have every account once, by name."""
        names = ["eve", "ada", "dan", "bob", "cyd"]
        for number, name in enumerate(names):
            await stores.accounts.add(an_account(name, number), _CREATED)
        listed: list[str] = []
        while page := await stores.accounts.list(
            after=listed[-1] if listed else "", limit=2
        ):
            listed += [row.name for row in page]
        assert listed == sorted(names)

    async def test_account_changes_only_as_it_was_read(self, stores: Stores) -> None:
        """A stale change or deletion of an account writes nothing."""
        first = an_account()
        await stores.accounts.add(first, _CREATED)
        replace = msgspec.structs.replace
        second = replace(
            first,
            password_hash="another",  # noqa: S106 - not a password
            roles=(),
            epoch=1,
            version=1,
            disabled=True,
        )
        assert await stores.accounts.swap(first, second, _CHANGED)
        assert await stores.accounts.by_id(first.id) == second
        stale = replace(first, roles=("admin",), version=1)
        assert not await stores.accounts.swap(first, stale, _CHANGED)
        assert not await stores.accounts.swap(first, None, _CHANGED)
        assert await stores.accounts.by_name("ada") == second
        assert await stores.audit.last() == 2
        assert await stores.accounts.swap(second, replace(second, version=2), Trail())
        assert await stores.audit.last() == 2

    async def test_deleted_account_frees_its_name(self, stores: Stores) -> None:
        """After a deletion an operator may give the name to another account."""
        first, second = an_account("ada", 1), an_account("ada", 2)
        await stores.accounts.add(first, _CREATED)
        gone = a_trail(EventType.ACCOUNT_DELETED)
        assert await stores.accounts.swap(first, None, gone)
        assert await stores.accounts.by_name("ada") is None
        assert await stores.accounts.by_id(first.id) is None
        assert not await stores.accounts.swap(first, None, gone)
        await stores.accounts.add(second, _CREATED, ignore_holds=True)
        assert await stores.accounts.by_name("ada") == second
        assert await stores.audit.last() == 3

    async def test_client_is_found_by_id(self, stores: Stores) -> None:
        """A client comes back as it was added, and its event with it."""
        public, full = a_client("app", secret_hash=None), a_client("api", **_FULL)
        for row in (public, full):
            await stores.clients.add(row, _CLIENT_CREATED)
            found = await stores.clients.load(row.id)
            # Compared as JSON too: there 1 differs from true.
            assert found == row
            assert msgspec.json.encode(found) == msgspec.json.encode(row)
        assert await stores.clients.load("unknown") is None
        recorded = [event for _, event in await stores.audit.read(0, 10)]
        assert recorded == [_CLIENT_CREATED] * 2

    async def test_client_id_is_taken_once(self, stores: Stores) -> None:
        """A second client of an id is refused, and leaves no trace."""
        first = a_client("api")
        await stores.clients.add(first, _CLIENT_CREATED)
        with pytest.raises(NameTaken):
            await stores.clients.add(a_client("api", **_FULL), _CLIENT_CREATED)
        assert await stores.clients.load("api") == first
        assert await stores.audit.last() == 1

    async def test_clients_are_listed_by_id(self, stores: Stores) -> None:
        """Pages that follow one another have every client once, by id."""
        rows = [a_client(name) for name in ("shop", "api", "mobile", "billing", "web")]
        for row in rows:
            await stores.clients.add(row, _CLIENT_CREATED)
        listed: list[Client] = []
        while page := await stores.clients.list(
            after=listed[-1].id if listed else "", limit=2
        ):
            listed += page
        assert listed == sorted(rows, key=lambda row: row.id)

    async def test_client_changes_only_as_it_was_read(self, stores: Stores) -> None:
        """A stale change of a client, or one of an unknown client, writes nothing."""
        first = a_client("api")
        await stores.clients.add(first, _CLIENT_CREATED)
        second = a_client("api", secret_hash=b"another", version=1, **_FULL)
        assert await stores.clients.swap(first, second, _CLIENT_CHANGED)
        assert await stores.clients.load("api") == second
        stale = a_client("api", version=1)
        assert not await stores.clients.swap(first, stale, _CLIENT_CHANGED)
        unknown = a_client("web")
        assert not await stores.clients.swap(unknown, unknown, _CLIENT_CHANGED)
        assert await stores.clients.list(limit=10) == [second]
        assert await stores.audit.last() == 2

    async def test_key_is_used_once(self, stores: Stores) -> None:
        """The first use of a key returns True, every other False, whatever `until`."""
        assert await stores.once.use_once([(b"one", START + 2)]) == [True]
        assert await stores.once.use_once([(b"one", START + 2)]) == [False]
        assert await stores.once.use_once([(b"one", START + 9)]) == [False]
        assert await stores.once.use_once([(b"on", START + 2)]) == [True]

    async def test_used_key_is_kept_until_it_is_past(self, stores: Stores) -> None:
        """A sweep forgets a key at the `until` of its first use, and not before."""
        assert await stores.once.use_once([(b"early", START + 1)]) == [True]
        assert await stores.once.use_once([(b"late", START + 2)]) == [True]
        assert await stores.once.use_once([(b"early", START + 3)]) == [False]
        await sweep_up(stores, START + 1)
        assert await stores.once.use_once([(b"late", START + 2)]) == [False]
        assert await stores.once.use_once([(b"early", START + 4)]) == [True]

    async def test_throttle_allows_a_burst_then_one_per_interval(
        self, stores: Stores
    ) -> None:
        """After the burst an attempt is told how long to wait, and that is enough."""
        cost = a_cost(burst=3, interval=1000)
        assert await _take(stores, [cost] * 4, START) == [0, 0, 0, 1000]
        assert await _take(stores, [cost] * 2, START + 999) == [1, 1]
        assert await _take(stores, [cost] * 2, START + 1000) == [0, 1000]
        assert await _take(stores, [cost] * 4, START + 60_000) == [0, 0, 0, 1000]

    async def test_throttle_counts_against_all_keys_or_none(
        self, stores: Stores
    ) -> None:
        """An attempt refused for one key is not counted against the others."""
        narrow, wide = a_cost("narrow", burst=1), a_cost("wide", burst=2)
        assert await stores.throttle.take([narrow, wide], START) == 0
        for _ in range(3):
            assert await stores.throttle.take([narrow, wide], START) == narrow.interval
        assert await stores.throttle.take([wide], START) == 0
        assert await stores.throttle.take([wide], START) == wide.interval

    async def test_given_back_attempt_was_not_made(self, stores: Stores) -> None:
        """An attempt that is given back can be made again, once."""
        costs = [a_cost("one", burst=1), a_cost("two", burst=1)]
        assert await stores.throttle.take(costs, START) == 0
        await stores.throttle.give_back(costs)
        assert await _take(stores, [costs[0]] * 2, START) == [0, costs[0].interval]
        assert await _take(stores, [costs[1]] * 2, START) == [0, costs[1].interval]

    async def test_forgotten_key_starts_anew(self, stores: Stores) -> None:
        """A success resets two counters; the third gets one attempt back."""
        name, address = a_cost("name", burst=3), a_cost("address", burst=3)
        account = a_cost("account", burst=3)
        for _ in range(3):
            await stores.throttle.take([name, address, account], START)
        forget = ["name", "account"]
        await stores.throttle.give_back([name, address, account], forget=forget)
        for forgotten in (name, account):
            waits = await _take(stores, [forgotten] * 4, START)
            assert waits == [0, 0, 0, forgotten.interval]
        assert await _take(stores, [address] * 2, START) == [0, address.interval]
        await stores.throttle.give_back([address], forget=["name"])
        assert await stores.throttle.take([name], START) == 0
        await stores.throttle.give_back(
            [a_cost("never counted")], forget=["never either"]
        )

    async def test_key_ring_is_replaced_whole_by_the_caller_that_read_it(
        self, stores: Stores
    ) -> None:
        """A ring of another revision is not written; a new store has revision 0."""
        event = an_event(EventType.KEY_CHANGED)
        assert await stores.keys.load() == (0, [])
        first = [a_key(1, KeyState.ACTIVE), a_key(2, KeyState.NEXT, now=START + 1)]
        assert await stores.keys.swap(0, first, event)
        assert await stores.keys.load() == (1, first)
        assert not await stores.keys.swap(0, [a_key(3)], event)
        assert not await stores.keys.swap(2, [a_key(3)], event)
        assert await stores.keys.load() == (1, first)
        assert await stores.audit.last() == 1
        second = [a_key(1, KeyState.RETIRED), a_key(2, KeyState.ACTIVE, now=START + 2)]
        assert await stores.keys.swap(1, second, event)
        assert await stores.keys.load() == (2, second)

    async def test_keys_of_all_uses_are_one_ring(self, stores: Stores) -> None:
        """They are replaced together, and come in the order of their changes."""
        event = an_event(EventType.KEY_CHANGED)
        ring = [a_key(n, now=START + n, use=use) for n, use in enumerate(KeyUse)]
        ring.append(a_key(9, KeyState.NEXT, now=START + 9))
        assert await stores.keys.swap(0, ring, event)
        assert await stores.keys.load() == (1, ring)
        assert await stores.keys.swap(1, ring[2:], event)
        assert await stores.keys.load() == (2, ring[2:])
        assert await stores.keys.swap(2, [], event)
        assert await stores.keys.load() == (3, [])

    async def test_events_come_back_whole_and_in_order(self, stores: Stores) -> None:
        """Events are read as they were recorded, oldest first, page by page."""
        assert await stores.audit.last() == 0
        session = a_session()
        events = [
            an_event(kind, of=session, at=START + n, number=n, odd=n % 2 == 1, text="é")
            for n, kind in enumerate(EventType)
        ]
        events.append(Event(type=EventType.SIGN_IN_FAILED, at=START))
        for event in events:
            await stores.audit.record(event)
        read: list[tuple[int, Event]] = []
        while page := await stores.audit.read(read[-1][0] if read else 0, 5):
            read += page
        assert [event for _, event in read] == events
        assert [number for number, _ in read] == sorted({n for n, _ in read})
        assert await stores.audit.last() == read[-1][0]


async def _take(stores: Stores, costs: Sequence[Cost], now: int) -> list[int]:
    """The waits of one attempt after another."""
    return [await stores.throttle.take([cost], now) for cost in costs]
