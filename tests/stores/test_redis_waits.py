"""What a revocation waits for, in Redis and Valkey, before it is acknowledged."""

from __future__ import annotations

import pytest
import redis

from tests.servers.redis import Redis
from tests.stores.on_redis import (
    Opener,
    events_of,
    following,
    keys_of,
    put,
    reuse,
    rotation,
    until,
)
from watchword.core.actor import EndReason
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType
from watchword.ports.batches import PartialResult, outcomes_of
from watchword.ports.sessions import ByAccount, ById
from watchword.stores.redis import node
from watchword.stores.redis.rows import value_of
from watchword.testing.store_contract.examples import (
    a_session,
    an_event,
    fed,
    living,
)

STEPS = node.WAITS_MS


@pytest.mark.parametrize("server", ["redis-6", "valkey-9"], indirect=True)
async def test_a_revocation_that_no_replica_has_is_not_acknowledged(
    server: Redis,
    opened: Opener,
    hasty: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However often it is asked for; once a replica has it, it is.

    Nobody else waits: neither sign-ins nor rotations, nor others of the same batch.
    """
    stores = await opened(server.url("mine"), wait=(0, 1))
    mine, spent, other = a_session(1), a_session(2), a_session(3, account=2)
    await put(stores, mine, spent, other)
    for selector in (ById(mine.id), ByAccount(mine.account_id, spent.id)) * 2:
        with pytest.raises(StoreUnavailable):
            await stores.sessions.end(selector, EndReason.LOGOUT, an_event(), 9)
    with pytest.raises(StoreUnavailable):
        await stores.sessions.swap([reuse(spent)])
    # Who presents it again is not told that it is over, nor that it is alive.
    with pytest.raises(PartialResult) as told:
        await stores.sessions.load([spent.id, other.id])
    assert told.value.outcomes[1] == other
    with pytest.raises(StoreUnavailable):
        await stores.sessions.load([spent.id])
    changes = [rotation(spent), rotation(other), reuse(mine)]
    assert await stores.sessions.swap(changes) == [False, True, False]
    monkeypatch.setattr(node, "WAITS_MS", STEPS)
    with following(server):
        assert (
            await stores.sessions.end(
                ById(mine.id), EndReason.SIGNED_IN_AGAIN, an_event(), 9
            )
            == []
        )
        # Another process acknowledges the end. Then it is not alive here either.
        beside = await opened(server.url("mine"), wait=(0, 1))
        await beside.sessions.end(ById(spent.id), EndReason.LOGOUT, an_event(), 1)
        both = [spent.id, other.id]
        first, _ = await outcomes_of(stores.sessions.load(both))
        assert isinstance(first, StoreUnavailable) or first == reuse(spent).after
        await until(
            lambda: outcomes_of(stores.sessions.load(both)),
            answers=[reuse(spent).after, rotation(other).after],
        )
    assert len(await events_of(stores, EventType.SESSION_REVOKED)) == 1
    assert len(await events_of(stores, EventType.TOKEN_REUSE)) == 1
    entries = await fed(stores)
    assert len(entries) == len({entry.session_id for entry in entries}) == 2


@pytest.mark.parametrize("server", ["redis-6"], indirect=True)
async def test_a_revocation_that_was_lost_is_made_again(
    server: Redis,
    opened: Opener,
    hasty: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written, not waited for, and lost with its master: nobody believes in it."""
    stores = await opened(server.url("mine"), wait=(0, 1))
    row, spent = a_session(1), a_session(2)
    await put(stores, row, spent)
    with pytest.raises(StoreUnavailable):
        await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
    with pytest.raises(StoreUnavailable):
        await stores.sessions.swap([reuse(spent)])
    with redis.Redis(port=server.port) as fate:
        for one in (row, spent):
            fate.set(keys_of(stores).session(one.id), value_of(one))
    monkeypatch.setattr(node, "WAITS_MS", STEPS)
    with following(server):
        ended = await stores.sessions.end(
            ById(row.id), EndReason.SIGNED_IN_AGAIN, an_event(), 1
        )
        assert [entry.session_id for entry in ended] == [row.id]
        await until(stores.sessions.swap, [reuse(spent)], answers=[True])
    assert await living(stores) == []
