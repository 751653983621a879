"""Sessions in bulk: the rows that sign-ins would have made, without the sign-ins.

Owns valid sessions and their refresh tokens, and how each store takes in a million.
The columns and the encoding are the store's own; what is left out is one commit and one
audit event for each. Every session has an account of its own: a refresh reads none.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

import asyncpg
from redis import Redis
from redis.cluster import RedisCluster

from bench.backends import SECRET, Backend, StoreName
from bench.load import USER_AGENT
from watchword.clocks import system_clock
from watchword.core.limits import DAY, SECRET_BYTES
from watchword.core.refresh_token import RefreshTokens, hash_of
from watchword.core.session import STRICT, Authenticated, Session, SessionOptions
from watchword.keys.vault import derive
from watchword.stores.redis.address import address_of
from watchword.stores.redis.keys import Keys, bucket_of
from watchword.stores.redis.rows import value_of
from watchword.stores.sql.files import load_statements, path_of
from watchword.stores.sql.rows import as_row
from watchword.stores.sqlite.connection import connect

# The refreshes of a run go to that many at most, anywhere among all: more than it has
# time for, so that hardly one comes twice, as with many sessions.
SAMPLE: Final = 65_536
CHUNK: Final = 10_000
SIGNED_IN_WITHIN: Final = 6 * DAY
_TERMS: Final = SessionOptions(client_id="first-party")


def _secret(number: int) -> bytes:
    return hashlib.sha256(b"session %d" % number).digest()[:SECRET_BYTES]


def sessions(count: int) -> Iterator[Session]:
    """That many valid sessions, in order of id, signed in over the last days."""
    begin = system_clock() - SIGNED_IN_WITHIN
    for number in range(count):
        now = begin + SIGNED_IN_WITHIN * number // count
        yield Session.started(
            Authenticated.by_password(os.urandom(16), ("admin",), at=now),
            _TERMS,
            STRICT,
            randomness=os.urandom(10),
            secret_hash=hash_of(_secret(number)),
            retry_hash=os.urandom(32),
            address="127.0.0.1",
            user_agent=USER_AGENT.decode(),
            now=now,
        )


def fill(backend: Backend, count: int) -> list[str]:
    """Put that many sessions there; the tokens of some, in random order."""
    chosen = set(random.sample(range(count), min(count, SAMPLE)))
    tokens = RefreshTokens([derive(SECRET.encode(), "refresh-token-mac")])
    minted: list[str] = []

    def noted() -> Iterator[Session]:
        for number, session in enumerate(sessions(count)):
            if number in chosen:
                minted.append(tokens.mint(session.id, 0, _secret(number)))
            yield session

    asyncio.run(_prepare(backend))
    _FILL[backend.name](backend, noted())
    random.shuffle(minted)
    return minted


async def _prepare(backend: Backend) -> None:
    """Make what a store makes when it is first opened."""
    await (await backend.open()).backend.close()


def _in_chunks(rows: Iterator[Session]) -> Iterator[Sequence[Session]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _fill_sqlite(backend: Backend, rows: Iterator[Session]) -> None:
    connection = connect(path_of(backend.url))
    insert = load_statements("sqlite")["create_session"]
    for chunk in _in_chunks(rows):
        with connection:
            connection.executemany(insert, map(as_row, chunk))
    connection.pragma("wal_checkpoint", "TRUNCATE")
    connection.close()


def _fill_postgresql(backend: Backend, rows: Iterator[Session]) -> None:
    asyncio.run(_copy(backend.url, rows))


async def _copy(url: str, rows: Iterator[Session]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table(
            "sessions",
            schema_name="watchword",
            columns=Session.__struct_fields__,
            records=map(as_row, rows),
        )
        # As a table is that has been there for a while; and what was written just now
        # is not the run's to write out.
        await connection.execute("VACUUM ANALYZE watchword.sessions")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _fill_redis(backend: Backend, rows: Iterator[Session]) -> None:
    assert backend.session_url is not None
    address = address_of(backend.session_url)
    (host, port), *_ = address.hosts
    keys = Keys(address.prefix)
    client: Any = (RedisCluster if address.cluster else Redis)(host=host, port=port)
    with client:
        for chunk in _in_chunks(rows):
            pipeline = client.pipeline(transaction=False)
            buckets: dict[int, list[Session]] = {}
            for row in chunk:
                buckets.setdefault(bucket_of(row.id), []).append(row)
            # lua/create.lua but for the event, and the account's list.
            for bucket, mine in buckets.items():
                values = chain(*((keys.session(r.id), value_of(r)) for r in mine))
                pipeline.execute_command("MSET", *values)
                pipeline.zadd(keys.index[bucket], {row.id: 0 for row in mine})
            for row in chunk:
                pipeline.zadd(keys.account(row.account_id), {row.id: 0})
            pipeline.execute()
        # The append-only file has grown, and is being written anew.
        while not address.cluster and _is_rewriting(client):
            time.sleep(0.1)


def _is_rewriting(client: Any) -> bool:  # noqa: ANN401 - untyped in redis-py
    state = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


_FILL: Final[dict[StoreName, Callable[[Backend, Iterator[Session]], None]]] = {
    "sqlite": _fill_sqlite,
    "postgresql": _fill_postgresql,
    "redis": _fill_redis,
    "cluster": _fill_redis,
}
