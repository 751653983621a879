"""How refreshes fare with more sessions in the store, and with more connections.

Owns the rows with several sizes, each with its own sessions, measured in turn.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.backends import StoreName, backend
from bench.filling import fill
from bench.measuring import (
    CONNECTIONS,
    Effort,
    Refreshing,
    brief,
    errors_of,
    in_turn,
    median,
    ratios,
)
from bench.report import Row
from bench.stores import serving


def sessions(folder: Path, effort: Effort, store: StoreName) -> Row:
    """The p99 with the most sessions, against that with the fewest.

    Every refresh is of another session, anywhere among all.
    """
    effort = brief(effort)
    loads: dict[str, Refreshing] = {}
    told: dict[str, str] = {}
    with ExitStack() as stack:
        for count in effort.sizes:
            one = stack.enter_context(backend(store, folder / str(count)))
            tokens = fill(one, count)
            server = stack.enter_context(serving(one))
            load = Refreshing(server, tokens, effort, database=one)
            loads[f"{count:,} sessions"] = load
            told |= one.told
        in_turn(effort.rounds, list(loads.values()))
    few, *_, many = loads.values()
    value = [report.p99 for report in many.reports]
    baseline = [report.p99 for report in few.reports]
    return Row(
        name=folder.name,
        value=median(value),
        unit=f"ms p99, {effort.sizes[-1]:,}",
        baseline=median(baseline),
        compared_with=f"ms p99, {effort.sizes[0]:,}",
        ratio=median(ratios(value, baseline)),
        budget="≤ 1.3",
        detail={
            **told,
            "ratio of each round": ratios(value, baseline),
            **{name: point(load) for name, load in loads.items()},
        },
    )


def connections(folder: Path, effort: Effort, store: StoreName) -> Row:
    """The rate with the most connections, against that with the usual number."""
    effort = brief(effort)
    loads: dict[int, Refreshing] = {}
    with ExitStack() as stack:
        one = stack.enter_context(backend(store, folder))
        tokens = fill(one, sum(effort.connections))
        server = stack.enter_context(serving(one))
        for count in effort.connections:
            mine, tokens = tokens[:count], tokens[count:]
            loads[count] = Refreshing(
                server, mine, effort, connections=count, database=one
            )
        in_turn(effort.rounds, list(loads.values()))
    usual, most = loads[CONNECTIONS], loads[effort.connections[-1]]
    points: dict[str, Any] = {
        f"{count} connections": point(load) for count, load in loads.items()
    }
    return Row(
        name=folder.name,
        value=median(most.rates()),
        unit=f"/s, {effort.connections[-1]} connections",
        baseline=median(usual.rates()),
        compared_with=f"/s, {CONNECTIONS} connections",
        ratio=median(ratios(most.rates(), usual.rates())),
        detail=one.told | points,
    )


def point(load: Refreshing) -> str:
    """Rate, latency and CPU time of a load: medians over the rounds."""
    reports = load.reports
    parts = [
        f"{median(load.rates()):,.0f} /s",
        f"p50 {median([report.p50 for report in reports]):.2f} ms",
        f"p99 {median([report.p99 for report in reports]):.2f} ms",
        f"server's CPU for one {median(load.cpu):.0f} µs",
    ]
    if load.database is not None and load.database.pids:
        parts.append(f"database's {median(load.database_cpu):.0f} µs")
    if errors := errors_of(reports):
        parts.append(f"errors {errors}")
    return " · ".join(parts)
