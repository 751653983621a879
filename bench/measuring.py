"""How much is measured, and the rounds of refreshes that several rows share.

Owns the effort of a full and of a quick run, and the medians over rounds.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bench import servers
from bench.backends import Backend
from bench.load import Kind, Plan, Report
from bench.servers import Server

CONNECTIONS: Final = 32


class Effort(msgspec.Struct, frozen=True):
    """How much to measure: `full` for figures, `quick` to see that it works."""

    rounds: int
    seconds: float
    warmup: float
    sessions: int
    refreshes: int
    many_refreshes: int
    starts: int
    sizes: tuple[int, ...]
    connections: tuple[int, ...]
    stored: int
    swaps: int
    accounts: int
    events: int
    asked: int


FULL: Final = Effort(
    rounds=7,
    seconds=3,
    warmup=0.5,
    sessions=2000,
    refreshes=100,
    many_refreshes=100_000,
    starts=7,
    sizes=(1000, 10_000, 100_000, 1_000_000),
    connections=(1, 4, 16, 32, 64, 128, 256),
    stored=20_000,
    swaps=1_000_000,
    accounts=1_000_000,
    events=10_000_000,
    asked=200,
)
QUICK: Final = Effort(
    rounds=1,
    seconds=0.3,
    warmup=0.1,
    sessions=40,
    refreshes=10,
    many_refreshes=500,
    starts=1,
    sizes=(100, 1000),
    connections=(1, CONNECTIONS, 256),
    stored=100,
    swaps=1000,
    accounts=1000,
    events=10_000,
    asked=3,
)


def brief(effort: Effort) -> Effort:
    """Less of everything, for rows that measure many things in turn."""
    return msgspec.structs.replace(
        effort,
        rounds=min(effort.rounds, 5),
        seconds=min(effort.seconds, 1.5),
        warmup=min(effort.warmup, 0.25),
    )


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratios(values: list[float], baselines: list[float]) -> list[float]:
    return [value / base for value, base in zip(values, baselines, strict=True)]


def errors_of(reports: list[Report]) -> dict[str, int]:
    """All that was not answered with 200, by its status and code."""
    errors: Counter[str] = Counter()
    for report in reports:
        errors.update(report.errors)
    return dict(errors)


def latency(name: str, reports: list[Report]) -> dict[str, Any]:
    """Medians of each percentile over the rounds; the maximum of the maxima."""
    shares = ("p50", "p90", "p99")
    middle = [f"{s} {median([getattr(r, s) for r in reports]):.2f}" for s in shares]
    worst = max(report.max for report in reports)
    return {
        f"{name} latency, ms": f"{' · '.join(middle)} · max {worst:.2f}",
        f"{name} p99 of each round": [report.p99 for report in reports],
        f"{name} errors": errors_of(reports),
        f"{name} load generator busy": median([report.busy for report in reports]),
    }


class Refreshing:
    """Refreshes round after round: chains of tokens that go on where they stopped.

    `kind`, `connections`, `retry_key` and `proofs` are their plan's. Of `database`, the
    CPU time is kept too.
    """

    def __init__(
        self,
        server: Server,
        tokens: list[str],
        effort: Effort,
        *,
        kind: Kind = "refresh",
        connections: int = CONNECTIONS,
        retry_key: bool = True,
        proofs: bool = False,
        database: Backend | None = None,
    ) -> None:
        self.server = server
        self.database = database
        self.plan = Plan(
            kind=kind,
            port=server.port,
            tokens=tokens,
            connections=connections,
            seconds=effort.seconds,
            warmup=effort.warmup,
            retry_key=retry_key,
            proofs=proofs,
        )
        self.reports: list[Report] = []
        self.busy: list[float] = []
        self.cpu: list[float] = []
        self.database_busy: list[float] = []
        self.database_cpu: list[float] = []

    def round(self) -> Report:
        before, behind = self._spent()
        report = servers.put_load(self.plan)
        after, far_behind = self._spent()
        elapsed = self.plan.seconds + self.plan.warmup
        self.busy.append((after - before) / elapsed)
        self.cpu.append((after - before) / report.total * 1e6)
        self.database_busy.append((far_behind - behind) / elapsed)
        self.database_cpu.append((far_behind - behind) / report.total * 1e6)
        self._go_on(report)
        self.reports.append(report)
        return report

    def prime(self) -> None:
        """One refresh of each, not counted: the first nonce comes with it."""
        report = servers.put_load(msgspec.structs.replace(self.plan, per_token=1))
        self._go_on(report)

    def _spent(self) -> tuple[float, float]:
        """CPU seconds of the server, and of the database servers behind it."""
        behind = 0.0 if self.database is None else self.database.cpu_seconds()
        return self.server.cpu_seconds(), behind

    def _go_on(self, report: Report) -> None:
        tokens = report.tokens
        if len(tokens) > self.plan.connections:
            # Those that had no turn come first. A proof's key goes with its token's
            # number, and there each connection has one.
            done = report.total % len(tokens)
            tokens = tokens[done:] + tokens[:done]
        self.plan = msgspec.structs.replace(
            self.plan, tokens=tokens, nonce=report.nonce
        )

    def rates(self) -> list[float]:
        return [report.rate for report in self.reports]


def in_turn(rounds: int, sides: Sequence[Refreshing]) -> None:
    """A round of each side, again and again."""
    order = list(sides)
    for _ in range(rounds):
        for side in order:
            side.round()
        # Whatever the one leaves behind for the other, or a drift, evens out.
        order.reverse()
