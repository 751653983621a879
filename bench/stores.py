"""Refresh on each store: against the bare handler, unbatched, with two workers.

Owns the rows whose sides differ in what is behind the server or in how it is started.
The app's server has one core to itself, unless a row says otherwise; the database
server, where there is one, shares the other with the load generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

from bench import servers
from bench.backends import Backend, StoreName, backend
from bench.filling import fill
from bench.measuring import (
    CONNECTIONS,
    Effort,
    Refreshing,
    brief,
    in_turn,
    latency,
    median,
    ratios,
)
from bench.report import Row
from bench.servers import Server

_BUDGETS: Final[dict[StoreName, str]] = {
    "sqlite": "floor 0.40, aim 0.45; p99 ≤ 25 ms",
    "postgresql": "floor 0.29, aim 0.40",
    "redis": "as refresh-postgresql",
    "cluster": "",
}
_TWO: Final[tuple[StoreName, ...]] = ("redis", "postgresql")


def serving(
    one: Backend,
    *,
    core: int | None = servers.SERVER_CORE,
    program: Sequence[str] = servers.WATCHWORD,
    **settings: str,
) -> AbstractContextManager[Server]:
    """A server on that store; `settings` are more of the environment's."""
    settings = one.settings | settings
    return servers.watchword(one.data, core, program=program, settings=settings)


def refresh(folder: Path, effort: Effort, store: StoreName, *, key: bool = True) -> Row:
    """Refresh, durable before the answer, against the bare handler."""
    with ExitStack() as stack:
        one = stack.enter_context(backend(store, folder))
        tokens = fill(one, CONNECTIONS)
        server = stack.enter_context(serving(one))
        answer = servers.sign_in(server)
        resident = {"resident after one sign-in, MB": server.resident_mb()}
        bare = stack.enter_context(servers.bare(folder, answer))
        ours = Refreshing(server, tokens, effort, retry_key=key, database=one)
        theirs = Refreshing(bare, tokens, effort, retry_key=key)
        in_turn(effort.rounds, [theirs, ours])
        resident["resident after the load, MB"] = server.resident_mb()
    sides = {"refresh": ours, "bare handler": theirs}
    return _row(folder, sides, _BUDGETS[store], one.told | resident)


def unbatched(folder: Path, effort: Effort, store: StoreName) -> Row:
    """Refresh with group commit, and with every refresh a batch of its own."""
    effort = brief(effort)
    with ExitStack() as stack:
        one = stack.enter_context(backend(store, folder))
        tokens = fill(one, 2 * CONNECTIONS)
        server = stack.enter_context(serving(one))
        alone = stack.enter_context(serving(one, program=servers.UNBATCHED))
        ours = Refreshing(server, tokens[:CONNECTIONS], effort, database=one)
        theirs = Refreshing(alone, tokens[CONNECTIONS:], effort, database=one)
        in_turn(effort.rounds, [theirs, ours])
    sides = {"batched": ours, "unbatched": theirs}
    return _row(folder, sides, "≥ 3" if store == "postgresql" else "", one.told)


def workers(folder: Path, effort: Effort, store: StoreName) -> Row:
    """Two workers, on both cores, beside the load, against one with its own core."""
    effort = brief(effort)
    with ExitStack() as stack:
        one = stack.enter_context(backend(store, folder))
        tokens = fill(one, 2 * CONNECTIONS)
        single = stack.enter_context(serving(one))
        double = stack.enter_context(serving(one, core=None, WATCHWORD_WORKERS="2"))
        ours = Refreshing(double, tokens[:CONNECTIONS], effort, database=one)
        theirs = Refreshing(single, tokens[CONNECTIONS:], effort, database=one)
        in_turn(effort.rounds, [theirs, ours])
    where = {"cores": "two workers share both with the load; one has its own"}
    return _row(folder, {"2 workers": ours, "1 worker": theirs}, "", one.told | where)


def redis_postgresql(folder: Path, effort: Effort) -> Row:
    """One store against the other, each with a server of its own."""
    effort = brief(effort)
    sides: dict[str, Refreshing] = {}
    with ExitStack() as stack:
        for name in _TWO:
            one = stack.enter_context(backend(name, folder / name))
            tokens = fill(one, CONNECTIONS)
            server = stack.enter_context(serving(one))
            sides[name] = Refreshing(server, tokens, effort, database=one)
        in_turn(effort.rounds, list(sides.values()))
    return _row(folder, sides, "≥ 1", {})


def _row(
    folder: Path, sides: Mapping[str, Refreshing], budget: str, told: Mapping[str, Any]
) -> Row:
    """The first of two sides that were measured in turn, against the second."""
    (name, ours), (other, theirs) = sides.items()
    each = ratios(ours.rates(), theirs.rates())
    return Row(
        name=folder.name,
        value=median(ours.rates()),
        unit="/s",
        baseline=median(theirs.rates()),
        compared_with=f"{other} /s",
        ratio=median(each),
        budget=budget,
        detail={
            **told,
            "ratio of each round": each,
            # What the clock does not show while others use the machine.
            "ratio of the server's CPU time": median(ratios(theirs.cpu, ours.cpu)),
            **_side(name, ours),
            **_side(other, theirs),
        },
    )


def _side(name: str, side: Refreshing) -> dict[str, Any]:
    detail = {
        f"{name} /s of each round": side.rates(),
        **latency(name, side.reports),
        # Far below 1 for the bare handler: something else was using the machine.
        f"{name}: server's share of its core": median(side.busy),
        f"{name}: server's CPU for one, µs": median(side.cpu),
    }
    if side.database is not None and side.database.pids:
        share, cost = median(side.database_busy), median(side.database_cpu)
        detail[f"{name}: database's share of the load's core"] = share
        detail[f"{name}: database's CPU for one, µs"] = cost
    return detail
