"""Redis and Valkey that restart, hang, are full or are no masters any more.

What is the same on every store, the contract tells.
"""

from __future__ import annotations

import signal

import msgspec
import pytest

from tests.servers.redis import Redis, single
from tests.stores.on_redis import Opener, events_of, put, reuse, rotation, until
from watchword.core.actor import EndReason
from watchword.core.limits import SWEEP_AFTER, SWEEP_LIMIT
from watchword.core.session import Session
from watchword.errors import SecondFactorInvalid, StoreUnavailable
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.credentials import CredentialKind, Spending
from watchword.ports.sessions import ByAccount, ById
from watchword.stores.redis.rows import session_of, value_of
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_cost,
    a_credential,
    a_session,
    a_trail,
    an_event,
    fed,
    living,
    sign_in,
)

both = pytest.mark.parametrize("server", ["redis-6", "valkey-9"], indirect=True)


async def test_forgotten_scripts_are_sent_again(opened: Opener) -> None:
    """After SCRIPT FLUSH, as after a restart or a failover, every step still works."""
    server = single()
    stores = await opened(server.url())
    row, spent = a_session(1), a_session(2)

    def forgetful() -> Stores:
        with server.client() as operator:
            operator.script_flush()
        return stores

    await put(forgetful(), row)
    await put(stores, spent)
    assert await forgetful().sessions.swap([rotation(row), reuse(spent)]) == [
        True,
        True,
    ]
    ended = await forgetful().sessions.end(
        ById(row.id), EndReason.LOGOUT, an_event(), 1
    )
    assert [entry.session_id for entry in ended] == [row.id]
    assert await forgetful().throttle.take([a_cost()], START) == 0
    assert await forgetful().once.use_once([(b"key", START)]) == [True]
    assert await forgetful().backend.sweep(START + 100 * SWEEP_AFTER, SWEEP_LIMIT) >= 4


@pytest.mark.parametrize("lacks", [1, 2], ids=["started_from", "and auth_time"])
def test_sessions_of_an_older_version_are_read_and_its_servers_read_ours(
    lacks: int,
) -> None:
    """Without `auth_time` it was proved at sign-in; a field at the end is skipped."""
    row = a_session(version=3)
    older = row.version.to_bytes(8) + msgspec.msgpack.encode(
        msgspec.structs.astuple(row)[1:-lacks]
    )
    assert session_of(row.id, older) == row
    ours = value_of(a_session(version=3, started_from=row.id))
    names = [(one.name, one.type) for one in msgspec.structs.fields(Session)[1:-lacks]]
    theirs = msgspec.defstruct("Fields", names, array_like=True)
    known = msgspec.msgpack.decode(ours[8:], type=theirs)
    assert msgspec.structs.astuple(known) == msgspec.structs.astuple(row)[1:-lacks]


@both
async def test_a_server_that_was_away_is_found_again(
    server: Redis, opened: Opener
) -> None:
    """Nobody is asked over a connection to its earlier life.

    A recovery code that was spent meanwhile is gone: it must not work twice.
    """
    stores = await opened(server.url("mine"))
    row, other = a_session(1), a_session(2)
    code = a_credential(1, CredentialKind.RECOVERY_CODE)
    assert await stores.credentials.add([code], Trail())
    await put(stores, row)
    server.process.stop()
    with pytest.raises(StoreUnavailable):
        await stores.backend.check()
    spending = Spending(code, a_trail(EventType.RECOVERY_CODE_USED))
    create = stores.sessions.create
    with pytest.raises(StoreUnavailable):
        await create(other, sign_in(other), spends=spending)
    server.start()
    with pytest.raises(SecondFactorInvalid):
        await create(other, sign_in(other), spends=spending)
    assert len(await events_of(stores, EventType.RECOVERY_CODE_USED)) == 1
    assert await stores.sessions.swap([rotation(row)]) == [True]
    await stores.backend.check()


@both
async def test_a_replica_is_not_written_to(
    server: Redis, opened: Opener, hasty: None
) -> None:
    """A master that was made a replica: nothing is written, and nothing made up."""
    stores = await opened(server.url("mine"))
    row, other = a_session(1), a_session(2)
    await put(stores, row)
    with server.client() as operator:
        operator.execute_command("REPLICAOF", "127.0.0.1", "1")  # where nobody is
        for verb in (
            lambda: stores.sessions.swap([rotation(row)]),
            lambda: stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1),
            lambda: stores.sessions.create(other, sign_in(other)),
            lambda: stores.throttle.take([a_cost()], START),
            lambda: stores.once.use_once([(b"key", START)]),
        ):
            with pytest.raises(StoreUnavailable):
                await verb()
        assert await stores.sessions.load([row.id]) == [row]
        operator.config_set("replica-serve-stale-data", "no")
        with pytest.raises(StoreUnavailable):  # MASTERDOWN
            await stores.sessions.load([row.id])
        operator.execute_command("REPLICAOF", "NO", "ONE")
    assert await stores.sessions.swap([rotation(row)]) == [True]
    assert len(await events_of(stores, EventType.TOKEN_REWOUND)) == 1


@both
async def test_a_full_server_takes_nothing_until_there_is_room(
    server: Redis, opened: Opener
) -> None:
    """Nothing is half written. Reading, following and sweeping work on."""
    stores = await opened(server.url("mine"))
    rows = [a_session(number) for number in range(3)]
    old = a_session(9, account=2, idle_expires_at=START - 2 * SWEEP_AFTER)
    await put(stores, *rows, old)
    with server.client() as operator:
        operator.config_set("maxmemory", 1)
        for verb in (
            lambda: stores.sessions.swap([rotation(row) for row in rows]),
            lambda: stores.sessions.swap([rotation(rows[0]), reuse(rows[1])]),
            lambda: stores.sessions.end(
                ByAccount(rows[0].account_id),
                EndReason.LOGOUT_EVERYWHERE,
                an_event(),
                9,
            ),
            lambda: stores.sessions.create(a_session(4), sign_in(a_session(4))),
        ):
            with pytest.raises(StoreUnavailable):
                await verb()
        await opened(server.url("mine"))
        assert await stores.backend.sweep(START, SWEEP_LIMIT) == 1
        assert await fed(stores) == []
        operator.config_set("maxmemory", 0)
    assert await living(stores) == rows[::-1]
    assert await stores.sessions.swap([rotation(row) for row in rows]) == [True] * 3
    assert len(await stores.audit.read(0, 99)) == len([*rows, old]) + len(rows)


async def test_an_answer_that_never_came_is_no_false(
    server: Redis, opened: Opener, hasty: None
) -> None:
    """The server hangs: what was sent may be done yet, so nobody says it was not."""
    stores = await opened(server.url("mine"))
    first = rotation(a_session())
    await put(stores, first.before)
    assert await stores.sessions.swap([first]) == [True]
    server.process.send(signal.SIGSTOP)
    row, change = first.after, rotation(first.after)
    for verb in (
        lambda: stores.sessions.swap([change]),
        lambda: stores.throttle.take([a_cost()], START),
        lambda: stores.sessions.load([row.id]),
    ):
        with pytest.raises(StoreUnavailable):
            await verb()
    server.process.send(signal.SIGCONT)
    await until(
        stores.sessions.load, [row.id], answers=[change.after]
    )  # it was on its way
    assert await stores.sessions.swap([change]) == [False]
    assert len(await events_of(stores, EventType.TOKEN_REWOUND)) == 2
