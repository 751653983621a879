"""How much is measured, and the rounds of refreshes that several rows share.

Owns the effort of a full and of a quick run, and the medians over rounds.
"""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any, Final

import msgspec

from bench import servers
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


FULL: Final = Effort(
    rounds=7,
    seconds=3,
    warmup=0.5,
    sessions=2000,
    refreshes=100,
    many_refreshes=100_000,
    starts=7,
)
QUICK: Final = Effort(
    rounds=1,
    seconds=0.3,
    warmup=0.1,
    sessions=40,
    refreshes=10,
    many_refreshes=500,
    starts=1,
)


def median(values: list[float]) -> float:
    return statistics.median(values)


def ratios(values: list[float], baselines: list[float]) -> list[float]:
    return [value / base for value, base in zip(values, baselines, strict=True)]


def latency(name: str, reports: list[Report]) -> dict[str, Any]:
    """Medians of each percentile over the rounds; the maximum of the maxima."""
    shares = ("p50", "p90", "p99")
    middle = [f"{s} {median([getattr(r, s) for r in reports]):.2f}" for s in shares]
    worst = max(report.max for report in reports)
    errors: Counter[str] = Counter()
    for report in reports:
        errors.update(report.errors)
    return {
        f"{name} latency, ms": f"{' · '.join(middle)} · max {worst:.2f}",
        f"{name} p99 of each round": [report.p99 for report in reports],
        f"{name} errors": dict(errors),
        f"{name} load generator busy": median([report.busy for report in reports]),
    }


class Refreshing:
    """Refreshes round after round: 32 chains that go on where they stopped.

    `kind`, `retry_key` and `proofs` are their plan's.
    """

    def __init__(
        self,
        server: Server,
        tokens: list[str],
        effort: Effort,
        *,
        kind: Kind = "refresh",
        retry_key: bool = True,
        proofs: bool = False,
    ) -> None:
        self.server = server
        self.plan = Plan(
            kind=kind,
            port=server.port,
            tokens=tokens,
            connections=CONNECTIONS,
            seconds=effort.seconds,
            warmup=effort.warmup,
            retry_key=retry_key,
            proofs=proofs,
        )
        self.reports: list[Report] = []
        self.busy: list[float] = []
        self.cpu: list[float] = []

    def round(self) -> Report:
        before = self.server.cpu_seconds()
        report = servers.put_load(self.plan)
        spent = self.server.cpu_seconds() - before
        self.busy.append(spent / (self.plan.seconds + self.plan.warmup))
        self.cpu.append(spent / report.total * 1e6)
        self._go_on(report)
        self.reports.append(report)
        return report

    def prime(self) -> None:
        """One refresh of each, not counted: the first nonce comes with it."""
        report = servers.put_load(msgspec.structs.replace(self.plan, per_token=1))
        self._go_on(report)

    def _go_on(self, report: Report) -> None:
        self.plan = msgspec.structs.replace(
            self.plan, tokens=report.tokens, nonce=report.nonce
        )

    def rates(self) -> list[float]:
        return [report.rate for report in self.reports]
