"""What the PostgreSQL store promises beyond the contract."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import pytest

from tests.pages import ROOT, blocks_of
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import postgresql
from tests.stores.between import between
from tests.stores.on_postgresql import opened, somebody, until, waiting
from watchword.core.actor import EndReason
from watchword.core.limits import AUDIT_RETENTION, FEED_PAGE, SWEEP_AFTER
from watchword.core.session import Session
from watchword.errors import EmailTaken, SettingsError
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.sessions import ByAccount, ByClient, ById, Change, Cursor, Selector
from watchword.stores.sql import stretches
from watchword.stores.sql.files import load_statements
from watchword.stores.sql.rows import others_row
from watchword.testing.fakes import START
from watchword.testing.store_contract import Backend
from watchword.testing.store_contract.ends import Ends
from watchword.testing.store_contract.examples import (
    a_cost,
    a_key,
    a_limit,
    a_session,
    an_account,
    an_event,
    identifier,
    put,
    rotated,
    with_address,
)
from watchword.testing.store_contract.feed import FeedOfTheEnded
from watchword.testing.store_contract.lists import Lists
from watchword.testing.store_contract.parallel import Parallel
from watchword.testing.store_contract.races import Races
from watchword.testing.store_contract.sessions import Sessions
from watchword.testing.store_contract.upkeep import Upkeep

_LEVELS: Final = ("repeatable read", "serializable")
_PAGE: Final = ROOT / "docs/postgresql.md"
_poolers: list[PgBouncer] = []


def _pooled(url: str) -> str:
    """The way to that database through a pooler of few connections."""
    if not _poolers:
        _poolers.append(PgBouncer(postgresql(), default_pool_size="4").start())
    return _poolers[0].url(url)


@pytest.fixture(params=["direct", "pooled"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, on each way to it."""
    url = postgresql().database_of(tmp_path)
    return url if request.param == "direct" else _pooled(url)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of an empty database."""
    return postgresql().database_of(tmp_path)


@pytest.fixture
async def stores(url: str) -> AsyncIterator[Stores]:
    async with opened(url) as stores:
        yield stores


def _isolated(level: str) -> Backend:
    settings = {"default_transaction_isolation": level}
    return Backend(lambda folder: postgresql().database_of(folder, **settings))


@pytest.mark.parametrize("backend", [_isolated(one) for one in _LEVELS], ids=_LEVELS)
class TestIsolation(Parallel, Races):
    """Where the database is stricter than READ COMMITTED, the store starts over."""


@pytest.mark.parametrize(
    "backend",
    [Backend(lambda folder: _pooled(postgresql().database_of(folder)))],
    ids=["pgbouncer"],
)
class TestPooled(Sessions, Lists, Ends, Upkeep, Parallel, Races, FeedOfTheEnded):
    """Where a pooler gives each transaction another connection, all is the same."""


@pytest.mark.parametrize("size", [1, 32, 512])
async def test_a_batch_is_one_exchange(way: str, size: int) -> None:
    """Load and swap ask the server once, whatever the size, the way and the events."""
    async with between(way) as counting, opened(counting.url) as stores:
        rows = [a_session(number) for number in range(size)]
        await asyncio.gather(*(put(stores, row) for row in rows))
        changes = [Change(row, rotated(row)) for row in reversed(rows)]
        ends = [
            Change(
                c.after, c.after.ended(EndReason.REUSE, START), an_event(of=c.before)
            )
            for c in reversed(changes)
        ]
        counts = []
        for first in (True, False):  # the first time, statements are prepared
            begun = counting.exchanges
            found = await stores.sessions.load([row.id for row in rows])
            assert found == (rows if first else [end.after for end in ends])
            assert await stores.sessions.swap(changes) == [first] * size
            assert await stores.sessions.swap(ends) == [first] * size
            counts.append(counting.exchanges - begun)
        assert counts[1] == 3


async def test_swaps_and_ends_never_deadlock(url: str, stores: Stores) -> None:
    """Batches in any order, and logouts everywhere, lock in one order."""
    rows = {n: a_session(n) for n in range(60)}
    await put(stores, *rows.values())
    draw = random.Random(7)

    async def swaps() -> None:
        for _ in range(30):
            ids = [row.id for row in draw.sample(list(rows.values()), 30)]
            found = [row for row in await stores.sessions.load(ids) if row is not None]
            alive = [row for row in found if row.revoked_at is None]
            await stores.sessions.swap([Change(row, rotated(row)) for row in alive])

    async def ends() -> None:
        for _ in range(5):
            await stores.sessions.assign_roles(identifier(1), ("writer",))
        for _ in range(5):
            await stores.sessions.end(
                ByAccount(identifier(1)), EndReason.LOGOUT_EVERYWHERE, an_event(), 8
            )

    counted = (
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    async with somebody(url) as other:
        before = await other.fetchval(counted)
        await asyncio.gather(swaps(), swaps(), swaps(), ends(), ends())
        assert await other.fetchval(counted) == before


async def test_table_does_not_grow_with_the_number_of_swaps() -> None:
    """An update stays on its page and writes no index, but for the first few."""
    url = postgresql().new_database()
    rows = [a_session(number, account=number) for number in range(400)]
    draw = random.Random(7)
    sizes: list[int] = []
    size = "SELECT pg_relation_size('watchword.sessions')"
    counted = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
        "WHERE relname = 'sessions' AND n_tup_upd = 20000"
    )
    async with somebody(url) as other:
        async with opened(url) as stores:
            await asyncio.gather(*(put(stores, row) for row in rows))
            for turn in range(500):
                draw.shuffle(rows)
                batch, rest = rows[:40], rows[40:]
                changes = [Change(row, rotated(row)) for row in batch]
                assert all(await stores.sessions.swap(changes))
                rows = [change.after for change in changes] + rest
                if turn in {49, 499}:
                    sizes.append(await other.fetchval(size))
        # The server counts for good when a connection ends.
        updates, hot = await until(lambda: other.fetchrow(counted))
    assert hot / updates > 0.98
    assert sizes[1] < 1.5 * sizes[0]


async def test_a_sign_in_reads_only_sessions_that_have_not_ended(url: str) -> None:
    """However many the account has had before."""
    async with opened(url) as stores, somebody(url) as other:
        row = a_session()
        await put(stores, row)
        fields = Session.__struct_fields__
        copied = {"id": "decode(md5(n::text), 'hex')", "revoked_at": "1"}
        values = ", ".join(copied.get(name, name) for name in fields)
        await other.execute(
            f"INSERT INTO watchword.sessions ({', '.join(fields)}) SELECT {values} "
            "FROM watchword.sessions, generate_series(1, 5000) AS n"
        )
        await other.execute("ANALYZE watchword.sessions")
        search = load_statements("postgresql")["too_many_of_account"]
        plan = await other.fetch(
            f"EXPLAIN {search.rstrip().rstrip(';')}", *others_row(row, a_limit(2))
        )
    assert "sessions_live_of_account" in "\n".join(line[0] for line in plan)


async def _end(stores: Stores, selector: Selector | Session, at: int = START) -> None:
    if isinstance(selector, Session):
        selector = ById(selector.id)
    await stores.sessions.end(selector, EndReason.LOGOUT, an_event(at=at), 10)


async def _backdate(url: str, *, of: bytes = b"", seconds: int = 60) -> None:
    """Let the feed's entries, or that of one session, be older."""
    async with somebody(url) as other:
        await other.execute(
            "UPDATE watchword.ended SET recorded_at = recorded_at - $1"
            " WHERE $2 = ''::bytea OR session_id = $2",
            seconds * 1_000_000,
            of,
        )


async def test_entry_that_others_overtook_is_in_the_feed(
    url: str, stores: Stores
) -> None:
    """A logout that is recorded early and committed late is not missed."""
    early, late = a_session(1), a_session(2)
    await put(stores, early, late)
    insert = "INSERT INTO watchword.ended (session_id, at, until) VALUES ($1, 0, 0)"
    async with somebody(url) as other:
        async with other.transaction():
            await other.execute(insert, early.id)
            await _end(stores, late)
            first = await stores.sessions.ended(None, START, FEED_PAGE)
            assert [entry.session_id for entry in first.entries] == [late.id]
        second = await stores.sessions.ended(first.cursor, START, FEED_PAGE)
    assert early.id in {entry.session_id for entry in second.entries}


async def test_commit_behind_a_page_is_in_the_next_read(
    url: str, stores: Stores
) -> None:
    """It became visible late, in a read that has gone on for half a minute."""
    *early, late = [a_session(number) for number in range(3)]
    await put(stores, *early, late)
    for row in early:
        await _end(stores, row)
    page = (await stores.sessions.ended(None, START, 1)).cursor
    began = msgspec.structs.replace(page, sequence=page.sequence - 30_000_000)
    await _end(stores, late)
    await _backdate(url, of=late.id, seconds=34)
    feed = await stores.sessions.ended(began, START, FEED_PAGE)
    assert [entry.session_id for entry in feed.entries] == [early[1].id]
    feed = await stores.sessions.ended(feed.cursor, START, FEED_PAGE)
    assert late.id in {entry.session_id for entry in feed.entries}


async def test_quiet_feed_is_not_read_again_and_again(url: str, stores: Stores) -> None:
    """Once its entries are old a follower gets what is new, and nothing else."""
    rows = [a_session(number) for number in range(3)]
    await put(stores, *rows)
    await _end(stores, rows[0])
    await _end(stores, rows[1])
    await _backdate(url)
    first = await stores.sessions.ended(None, START, FEED_PAGE)
    assert len(first.entries) == 2
    second = await stores.sessions.ended(first.cursor, START, FEED_PAGE)
    assert (second.entries, second.cursor) == ([], first.cursor)
    await _end(stores, rows[2])
    third = await stores.sessions.ended(second.cursor, START, FEED_PAGE)
    assert [entry.session_id for entry in third.entries] == [rows[2].id]


async def test_clock_that_was_set_back_means_a_complete_read(
    url: str, stores: Stores
) -> None:
    """A cursor by a clock that was ahead, of the server before this, hides nothing."""
    row = a_session()
    await put(stores, row)
    await _end(stores, row)
    await _backdate(url)
    now = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
    ahead = Cursor(now.incarnation, now.sequence + 3600 * 1_000_000)
    feed = await stores.sessions.ended(ahead, START, FEED_PAGE)
    assert [entry.session_id for entry in feed.entries] == [row.id]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_logout_asked_again_is_told_again(
    url: str,
    stores: Stores,
    everywhere: bool,  # noqa: FBT001
) -> None:
    """A commit that hung until readers looked past it is heard of when asked again.

    It may hang for a standby that is gone; whoever waited for it was told nothing.
    """
    row = a_session()
    await put(stores, row)
    cursor = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
    await _end(stores, row)
    await _backdate(url)  # it became visible a minute after it was recorded
    assert (await stores.sessions.ended(cursor, START, FEED_PAGE)).entries == []
    await _end(stores, ByAccount(row.account_id) if everywhere else row)
    feed = await stores.sessions.ended(cursor, START, FEED_PAGE)
    assert [entry.session_id for entry in feed.entries] == [row.id]
    assert await stores.audit.last() == 2


async def test_follower_of_the_audit_log_waits_for_a_lower_number(
    url: str, stores: Stores
) -> None:
    """An event with a number drawn early and committed late is not skipped."""
    insert = (
        "INSERT INTO watchword.audit (type, at, address, detail) "
        "VALUES ('user_created', 1, '', '{}')"
    )
    requested = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE query LIKE '%FROM pg_locks%' AND pid <> pg_backend_pid()"
    )
    async with somebody(url) as other, somebody(url) as watch:
        async with other.transaction():
            await other.execute(insert)
            await stores.audit.record(an_event())
            reading = asyncio.create_task(stores.audit.read(0, 10))
            await until(lambda: watch.fetchval(requested))
            assert not reading.done()
        events = await reading
        kinds = [event.type for _, event in events]
        assert kinds == [EventType.ACCOUNT_CREATED, EventType.SESSION_REVOKED]
        aborted = other.transaction()
        await aborted.start()
        await other.execute(insert)
        await stores.audit.record(an_event())
        await aborted.rollback()
        assert [number for number, _ in await stores.audit.read(2, 10)] == [4]


async def test_address_that_another_transaction_takes_meanwhile_is_taken(
    url: str, stores: Stores
) -> None:
    """The unique index decides, and the answer is the one of always."""
    bob = an_account("bob")
    await stores.accounts.add(bob, Trail())
    async with somebody(url) as other:
        taking = other.transaction()
        await taking.start()
        await other.execute(
            "INSERT INTO watchword.accounts (id, name, password_hash, roles, "
            "created_at, epoch, version, disabled, email_key) "
            "VALUES ($1, 'ada', '', '', 0, 0, 0, false, 'ada@example.org')",
            identifier(2),
        )
        change = stores.accounts.swap(bob, with_address(bob), Trail())
        changing = asyncio.create_task(change)
        await waiting(url, 1)
        await taking.commit()
        with pytest.raises(EmailTaken):
            await changing
    assert await stores.accounts.by_name("bob") == bob


async def test_sweep_passes_over_what_is_locked(url: str, stores: Stores) -> None:
    """It neither waits for a refresh nor makes one wait; the row goes the next time."""
    old = START - 2 * SWEEP_AFTER
    rows = [a_session(number, idle_expires_at=old) for number in range(2)]
    await put(stores, *rows)
    lock = "SELECT id FROM watchword.sessions WHERE id = $1 FOR UPDATE"
    async with somebody(url) as other, other.transaction():
        await other.execute(lock, rows[0].id)
        assert await stores.backend.sweep(START, 10) == 1
        assert await stores.sessions.load([row.id for row in rows]) == [rows[0], None]
    assert (
        await stores.backend.sweep(START, 10) + await stores.backend.sweep(START, 10)
        == 1
    )


async def test_walk_over_all_sessions_goes_stretch_by_stretch(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement looks at all of a large table, and none of a client's is missed."""
    monkeypatch.setattr(stretches, "SWEEP_LOOK", 2)
    rows = [a_session(number) for number in range(9)]
    for place in (1, 2, 3, 7):
        rows[place] = msgspec.structs.replace(rows[place], client_id="mobile")
    await put(stores, *rows)
    selector = ByClient("mobile")
    first = await stores.sessions.end(
        selector, EndReason.LOGOUT_EVERYWHERE, an_event(), 3
    )
    assert [entry.session_id for entry in first] == [row.id for row in rows[1:4]]
    rest = await stores.sessions.end(
        selector, EndReason.LOGOUT_EVERYWHERE, an_event(), 3
    )
    assert [entry.session_id for entry in rest] == [rows[7].id]


async def test_role_of_the_documentation_serves_and_changes_no_table() -> None:
    """What docs/postgresql.md grants is enough for a server, and no more."""
    url = postgresql().new_database()
    grants = next(b.text for b in blocks_of(_PAGE) if b.kind == "sql")
    row = a_session()
    async with somebody(url) as owner:
        await owner.execute(grants)
    as_server = url.replace("postgres@", "watchword_server@")
    async with opened(as_server) as stores:
        await put(stores, row)
        assert await stores.sessions.swap([Change(row, rotated(row))]) == [True]
        await _end(stores, row)
        assert await stores.throttle.take([a_cost()], START) == 0
        await stores.throttle.give_back([a_cost()])
        assert await stores.once.use_once([(b"key", START)]) == [True]
        changed = an_event(EventType.KEY_CHANGED)
        assert await stores.keys.swap(0, [a_key()], changed)
        assert await stores.backend.sweep(START + AUDIT_RETENTION + 1, 10) > 0
        assert await stores.audit.read(0, 10) == []
    async with somebody(as_server) as server:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await server.execute("CREATE TABLE watchword.more ()")


async def test_server_that_may_forget_a_commit_is_refused() -> None:
    """With synchronous_commit off a crash would bring spent tokens back."""
    url = postgresql().new_database(migrated=False, synchronous_commit="off")
    with pytest.raises(SettingsError, match="synchronous_commit"):
        async with opened(url):
            pass


async def test_url_that_is_none_is_told_without_its_password() -> None:
    """A fault in the URL is one of the settings, and shows no secret."""
    with pytest.raises(SettingsError) as caught:
        async with opened("postgresql://ada:hunter2@127.0.0.1:port/db"):
            pass
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_sweep_keeps_its_limit_whatever_the_planner_chooses() -> None:
    """A nested loop, as for a table that was empty when its statistics were made."""
    url = postgresql().new_database(
        enable_hashjoin="off",
        enable_mergejoin="off",
        enable_hashagg="off",
        enable_sort="off",
        enable_material="off",
    )
    async with opened(url) as stores:
        rows = [a_session(number) for number in range(10)]
        await put(stores, *rows)
        for row in rows:
            await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
        await stores.throttle.take(
            [a_cost(f"name:{number}") for number in range(10)], START
        )
        await stores.once.use_once([(b"%d" % number, START) for number in range(10)])
        assert await stores.backend.sweep(START + 3 * SWEEP_AFTER, 3) == 4 * 3
