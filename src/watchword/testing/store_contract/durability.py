"""Contract: every acknowledged write is there, after a close and after kill -9.

For stores that persist. Those that do not have `persists=False` in the table.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from itertools import count
from typing import Final

import msgspec
import pytest

from watchword import stores as tables
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.core.session import Session
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.outbox import LeasedMessage, Message
from watchword.ports.sessions import ById, Change
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore, Place
from watchword.testing.store_contract.examples import (
    a_client,
    a_confirmation,
    a_consent,
    a_cost,
    a_key,
    a_message,
    a_registration,
    a_session,
    a_trail,
    an_account,
    an_event,
    fed,
    put,
    rotated,
    sign_in,
    with_options,
)

_CHURN: Final = f"import sys, {__name__} as it; it.churn(sys.argv[1])"
# The child is killed after so many acknowledgements: in the first batches, under load,
# and after checkpoints.
_KILL_AFTER: Final = (3, 200, 900)
_CHAINS: Final = 16
_UNUSED: Final = _CHAINS * 1_000_000
"""The number of a session that the child never makes."""


class _Work(msgspec.Struct):
    """What the child is told: the store, and the rows of stores that tests added."""

    place: Place
    stores: dict[str, tuple[str, str, str]]
    session_stores: dict[str, tuple[str, str, str]]


class _Acknowledged(msgspec.Struct):
    """One line of the child: this version of the session is on the disk.

    So is the message that was written with its account.
    """

    session_id: bytes
    version: int
    ended: bool
    message_id: bytes


class DurabilityContract(OnAStore):
    """Close and open, kill and open. Subclass it as `Test…` beside `StoreContract`."""

    async def test_everything_is_there_after_closing(self, place: Place) -> None:
        """A store that is opened again has every write, and its feed goes on."""
        stores = await place.open("first")
        row, dead = with_options(rotated(a_session(1))), a_session(2)
        await put(stores, row, dead)
        await stores.sessions.end(ById(dead.id), EndReason.LOGOUT, an_event(), 1)
        cursor = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
        account, key = an_account(), a_key()
        await stores.accounts.add(account, a_trail(EventType.ACCOUNT_CREATED))
        client, consent = a_client(), a_consent()
        await stores.consents.put(consent, None)
        await stores.clients.add(client, an_event(EventType.CLIENT_CREATED))
        assert await stores.once.use_once([(b"key", START)]) == [True]
        registration, confirmation = a_registration(), a_confirmation()
        message = a_message()
        await stores.registrations.add(registration, Trail((), (message,)))
        await stores.confirmations.add(confirmation, Trail())
        await stores.outbox.postpone(message.id, START, 3)
        await stores.keys.swap(0, [key], an_event(EventType.KEY_CHANGED))
        await stores.throttle.take([a_cost(burst=1)], START)
        events = await stores.audit.read(0, 100)
        await stores.backend.close()

        stores = await place.open("second")
        try:
            rows = await stores.sessions.load([row.id, dead.id])
            assert rows == [row, dead.ended(EndReason.LOGOUT, START)]
            assert await stores.accounts.by_name(account.name) == account
            token = registration.token_hash
            assert await stores.registrations.by_token(token) == registration
            token = confirmation.token_hash
            assert await stores.confirmations.by_token(token) == confirmation
            assert await stores.outbox.list(limit=9) == [LeasedMessage(message, 3)]
            assert await stores.clients.load(client.id) == client
            assert await stores.consents.of_account(account.id) == [consent]
            assert await stores.once.use_once([(b"key", START)]) == [False]
            assert await stores.keys.load() == (1, [key])
            assert await stores.throttle.take([a_cost(burst=1)], START) > 0
            assert await stores.audit.read(0, 100) == events
            assert (
                await stores.sessions.ended(cursor, START, FEED_PAGE)
            ).cursor == cursor
            assert len(await fed(stores)) == 1
        finally:
            await stores.backend.close()

    async def test_close_finishes_what_was_accepted(self, place: Place) -> None:
        """Writes under way when the store is closed are answered, and are there."""
        stores = await place.open("first")
        rows = [a_session(number) for number in range(50)]
        writing = [asyncio.create_task(put(stores, row)) for row in rows]
        await asyncio.sleep(0)  # each task has now handed its write to the store
        await stores.backend.close()
        await asyncio.gather(*writing)
        stores = await place.open("second")
        try:
            assert await stores.sessions.load([row.id for row in rows]) == rows
        finally:
            await stores.backend.close()

    @pytest.mark.parametrize("kill_after", _KILL_AFTER)
    async def test_kill_loses_nothing_acknowledged(
        self, place: Place, kill_after: int
    ) -> None:
        """After kill -9 under load, each acknowledged write is there, and complete."""
        told = await asyncio.to_thread(_killed, place, kill_after)
        stores = await place.open("after")
        try:
            rows = await stores.sessions.load(list(told))
            for row, acknowledged in zip(rows, told.values(), strict=True):
                assert row is not None
                assert row.version >= acknowledged.version
                assert row.revoked_at is not None or not acknowledged.ended
            waiting = await stores.outbox.list(limit=1_000_000)
            messages = {one.message.id: one.message.account_id for one in waiting}
            assert {one.message_id for one in told.values()} <= set(messages)
            accounts = await stores.accounts.list(limit=1_000_000)
            assert {row.id for row in accounts} == set(messages.values())
            await _all_whole(stores)
            # The store is still intact: this process can go on writing.
            await put(stores, a_session(_UNUSED))
        finally:
            await stores.backend.close()


async def _all_whole(stores: Stores) -> None:
    """Each row has as many events as changes, and a feed entry if it is revoked."""
    events = await stores.audit.read(0, 1_000_000)
    changes = Counter(event.session_id for _, event in events)
    del changes[None]  # of accounts
    ids = [session_id for session_id in changes if session_id is not None]
    rows = [row for row in await stores.sessions.load(ids) if row is not None]
    assert len(rows) == len(ids)
    assert changes == {row.id: 1 + row.version for row in rows}
    entries = Counter(entry.session_id for entry in await fed(stores))
    assert entries == Counter(row.id for row in rows if row.revoked_at is not None)


def _killed(place: Place, kill_after: int) -> dict[bytes, _Acknowledged]:
    """Write to the store from a child process, kill it, and return what it reported.

    The last acknowledged version of each session, by its id.
    """
    work = _Work(place, tables.STORES, tables.SESSION_STORES)
    command = [sys.executable, "-c", _CHURN, msgspec.json.encode(work).decode()]
    told: dict[bytes, _Acknowledged] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:  # noqa: S603 - ours
        assert child.stdout is not None
        for number, line in enumerate(child.stdout, 1):
            acknowledged = msgspec.json.decode(line, type=_Acknowledged)
            told[acknowledged.session_id] = acknowledged
            if number == kill_after:
                child.kill()  # lines that are still in the pipe count as well
    assert child.returncode == -9
    return told


def churn(told: str) -> None:
    """The child's work until it is killed: write, and report each acknowledgement."""
    work = msgspec.json.decode(told, type=_Work)
    tables.STORES.update(work.stores)
    tables.SESSION_STORES.update(work.session_stores)

    async def main() -> None:
        stores = await work.place.open("child")
        await asyncio.gather(*(_chain(stores, number) for number in range(_CHAINS)))

    asyncio.run(main())


async def _chain(stores: Stores, number: int) -> None:
    for turn in count(number * 1_000_000):
        account = an_account(f"user{turn}", turn)
        message = a_message(turn, account_id=account.id)
        created = a_trail(EventType.ACCOUNT_CREATED, message)
        await stores.accounts.add(account, created)
        row = a_session(turn)
        await stores.sessions.create(row, sign_in(row))
        _tell(row, message)
        for generation in range(1, 4):
            after = rotated(row)
            event = an_event(EventType.TOKEN_REWOUND, of=row, to=generation)
            assert await stores.sessions.swap([Change(row, after, event)]) == [True]
            row = after
            _tell(row, message)
        if turn % 2:
            await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
            _tell(row.ended(EndReason.LOGOUT, START), message)


def _tell(row: Session, message: Message) -> None:
    ended = row.revoked_at is not None
    line = _Acknowledged(row.id, row.version, ended, message.id)
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
