"""Stores in Redis and Valkey, and their servers, as tests get at them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.patience import until as until_done
from tests.servers.redis import Redis
from watchword.core.actor import EndReason
from watchword.core.session import Session
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Change
from watchword.stores.redis.keys import Keys
from watchword.stores.redis.servers import Servers
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import an_event, rotated, sign_in

Opener = Callable[..., Awaitable[Stores]]
"""Opens a URL, with what revocations wait for; the fixture `opened` closes it."""


def keys_of(stores: Any) -> Keys:
    """The names under which the store keeps what it has."""
    keys: Keys = stores.backend._keys
    return keys


def servers_of(stores: Any) -> Servers:
    """The servers that the store asks."""
    servers: Servers = stores.backend._servers
    return servers


async def put(stores: Stores, *rows: Session) -> None:
    for row in rows:
        await stores.sessions.create(row, sign_in(row))


def rotation(row: Session) -> Change:
    """A rotation that leaves a trace in the audit log."""
    after = rotated(row)
    event = an_event(EventType.TOKEN_REWOUND, of=row, to=after.generation)
    return Change(row, after, event)


def reuse(row: Session) -> Change:
    """The end of a session whose spent token came again."""
    event = an_event(EventType.TOKEN_REUSE, of=row)
    return Change(row, row.ended(EndReason.REUSE, START), event)


async def events_of(stores: Stores, kind: EventType) -> list[Event]:
    events = await stores.audit.read(0, 10_000)
    return [event for _, event in events if event.type is kind]


async def until(verb: Callable[..., Awaitable[Any]], *given: Any, answers: Any) -> None:
    """Ask until that is the answer; a test's time-out is the end."""
    while await verb(*given) != answers:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


@contextmanager
def following(master: Redis) -> Iterator[Redis]:
    """A replica that has all that its master has, on its disk too."""
    replica = Redis(master.name, appendfsync="always").start()
    wait = ("WAIT", 1, 20) if master.name == "redis-6" else ("WAITAOF", 0, 1, 20)
    try:
        with replica.client() as client, master.client() as operator:

            def has_all() -> bool:
                operator.set("probe", "")
                return operator.execute_command(*wait) in (1, [0, 1], [1, 1])

            client.execute_command("REPLICAOF", "127.0.0.1", master.port)
            until_done(has_all)
        yield replica
    finally:
        replica.kill()
