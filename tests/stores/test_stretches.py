"""Nothing that reaches many sessions does so in one step of the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.servers.stores import STORES
from tests.stores.on_file import opened, sql, writing
from watchword.core.actor import EndReason
from watchword.core.limits import SWEEP_AFTER
from watchword.core.session import STRICT, Alive, Session
from watchword.ports.sessions import Before, ByAccount, ByClient, Selector
from watchword.stores.postgresql import backend as postgresql_backend
from watchword.stores.redis import audit, index
from watchword.stores.sql import stats, stretches
from watchword.stores.sql.files import load_statements
from watchword.stores.sqlite import backend as sqlite_backend
from watchword.testing.fakes import START
from watchword.testing.store_contract import Backend
from watchword.testing.store_contract.examples import (
    a_session,
    an_event,
    identifier,
    living,
    put,
    sweep_up,
)

# A few rows are what thousands are to a server.
BACKENDS = (postgresql_backend, sqlite_backend)
SMALL: list[tuple[Any, str, int]] = [
    *((module, "SWEEP_LOOK", 3) for module in (stretches, stats, index, *BACKENDS)),
    *((stretches, "END_LIMIT", 2), (index, "PAGE", 3), (audit, "ADOPTED", 2)),
    *((index, "COUNTED", 3), (index, "_PAUSE", 0), (stats, "_PAUSE", 0)),
]

SELECTORS: dict[str, Selector] = {
    "account": ByAccount(identifier(1)),
    "client": ByClient("app"),
    "before": Before(START + 1),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in SMALL:
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("selected", SELECTORS)
@pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
async def test_every_session_that_is_meant_is_found_over_several_stretches(
    backend: Backend, tmp_path: Path, selected: str
) -> None:
    """Between others, after whole stretches of none, at the beginning and the end."""
    meant_at = {0, 7, 8, 9, 15, 16}
    meant: list[Session] = []
    others: list[Session] = []
    for number in range(20):
        chosen = number in meant_at
        row = a_session(number, account=1 if chosen else 2)
        row = msgspec.structs.replace(
            row,
            client_id="app" if chosen else "other",
            authenticated_at=START if chosen else START + 1,
        )
        (meant if chosen else others).append(row)
    stores = await backend.place(tmp_path).open("store")
    try:
        await put(stores, *meant, *others)
        totals = await stores.stats.totals(Alive.at(START, STRICT))
        assert totals.sessions == 20
        ended = await stores.sessions.end(
            SELECTORS[selected], EndReason.LOGOUT, an_event(), 100
        )
        assert [entry.session_id for entry in ended] == [row.id for row in meant]
        assert await living(stores) == others[::-1]
        assert (
            await stores.sessions.end(
                SELECTORS[selected], EndReason.LOGOUT, an_event(), 100
            )
            == []
        )
        await stores.sessions.assign_roles(identifier(2), ("clerk",))
        changed = await stores.sessions.load([row.id for row in others])
        assert [row and (row.roles, row.version) for row in changed] == [
            (("clerk",), 1)
        ] * len(others)
        over = max(row.idle_expires_at for row in others) + SWEEP_AFTER + 1
        assert await sweep_up(stores, over) >= 20
        assert (
            await stores.sessions.load([row.id for row in meant + others])
            == [None] * 20
        )
    finally:
        await stores.backend.close()


# What a plan may walk: these tables have a few rows, or the statement has a bound
# within (`ended` and `audit`: the oldest so many, in a subquery). `CONSTANT` is one row
# without a table.
SHORT = {
    *("ended", "audit", "signing_keys", "store", "webhooks"),
    *("(subquery-1)", "CONSTANT"),
}


def _is_walk(step: str) -> bool:
    """A whole table, or a range of sessions, which has no bound."""
    if step.startswith("SCAN"):
        return step.split()[1] not in SHORT
    return step.startswith("SEARCH sessions") and re.search("[<>]", step) is not None


async def test_no_statement_of_the_one_writer_walks_a_table(tmp_path: Path) -> None:
    """While it does, every refresh would wait."""
    path = tmp_path / "data" / "watchword.db"
    await (await opened(path)).backend.close()
    walked: dict[str, list[str]] = {}
    for name, statement in load_statements("sqlite").items():
        bare = re.sub(r"--.*", "", statement).strip()
        if re.match("INSERT|UPDATE|DELETE", bare) is None:
            continue
        plan = sql(path, f"EXPLAIN QUERY PLAN {bare}", (None,) * _parameters(bare))
        walked[name] = [row[3] for row in plan if _is_walk(row[3])]
    assert len(walked) > 20
    assert {name: scans for name, scans in walked.items() if scans} == {}


async def test_a_search_of_operators_walks_no_table(tmp_path: Path) -> None:
    """Whatever is asked for, an index has it: there may be ten million rows."""
    path = tmp_path / "data" / "watchword.db"
    await (await opened(path)).backend.close()
    tables = r" (audit|event|accounts|account_roles|confirmations)\b"
    searches = ("search_events", "event_before", "search_accounts", "invitations")
    for name in searches:
        bare = re.sub(r"--.*", "", load_statements("sqlite")[name])
        plan = sql(path, f"EXPLAIN QUERY PLAN {bare}", (None,) * _parameters(bare))
        steps = [row[3] for row in plan]
        assert [one for one in steps if re.match(f"SEARCH{tables}", one)], name
        assert [one for one in steps if re.match(f"SCAN{tables}", one)] == []


def _parameters(statement: str) -> int:
    """How many values a statement takes: numbered ones may come twice."""
    numbers = re.findall(r"\?(\d+)", statement)
    return max(map(int, numbers), default=statement.count("?"))


async def test_a_sign_in_reads_only_sessions_that_have_not_ended(
    tmp_path: Path,
) -> None:
    """However many the account has had. So does a rotation write no index."""
    path = tmp_path / "data" / "watchword.db"
    await (await opened(path)).backend.close()
    statements = load_statements("sqlite")
    bare = re.sub(r"--.*", "", statements["too_many_of_account"]).strip()
    plan = sql(path, f"EXPLAIN QUERY PLAN {bare}", (None,) * _parameters(bare))
    reads = [row[3] for row in plan if " sessions " in row[3]]
    assert len(reads) == 1
    assert "INDEX sessions_live_of_account" in reads[0]
    written = re.sub(r"--.*", "", statements["swap_session"]).partition("WHERE")[0]
    (index,) = sql(
        path, "SELECT sql FROM sqlite_schema WHERE name = 'sessions_live_of_account'"
    )
    columns = set(re.findall(r"\w+", written)) & set(re.findall(r"\w+", index[0]))
    assert columns == {"sessions"}


async def test_the_writer_does_nothing_for_a_client_without_sessions(
    tmp_path: Path,
) -> None:
    """The search is a reader's, however long it takes."""
    stores = await opened(tmp_path / "data" / "watchword.db")
    try:
        await put(stores, *(a_session(number) for number in range(10)))
        seen: list[str] = []

        def trace(_: Any, statement: str, __: Any) -> bool:
            seen.append(statement)
            return True

        writing(stores).exec_trace = trace
        assert (
            await stores.sessions.end(
                ByClient("app"), EndReason.LOGOUT, an_event(), 100
            )
            == []
        )
        assert (
            await stores.sessions.end(Before(START), EndReason.LOGOUT, an_event(), 100)
            == []
        )
        assert await living(stores) != []
        assert seen == []
    finally:
        await stores.backend.close()
