"""One function per row of the table (design, section 12).

Owns what is compared with what, and how often. Two things are always measured in turn
in one run; the ratio is the median of the rounds' ratios: the machine's speed drifts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, get_args

import msgspec

from bench import curves, servers, stores
from bench.asking import PATHS, asking
from bench.backends import StoreName, backend
from bench.clients import client_storm
from bench.exchanging import exchange, exchange_storm
from bench.listing import lists
from bench.load import Kind, Plan, Report
from bench.measuring import (
    CONNECTIONS,
    Effort,
    Refreshing,
    latency,
    median,
    ratios,
)
from bench.protocols import dpop_refresh, introspect, oauth_refresh
from bench.reaching import feed_memory, jwks_once, logout_reach
from bench.report import RESULTS, Row
from bench.storage import bytes_per_session, bytes_per_session_on
from bench.verifying import verify_cached, verify_new

# Well below the burst that one name may have pending (core/limits.py).
STORM: Final = 4
# As many as the server's hash pool has (passwords/hasher.py).
HASH_THREADS: Final = os.cpu_count() or 1


def secure(folder: Path, effort: Effort) -> Row:
    """Calls with an access token that the server has seen before."""
    with servers.watchword(folder / "data") as server:
        token = msgspec.json.decode(servers.sign_in(server))["accessToken"]
        plan = Plan(
            kind="secure",
            port=server.port,
            tokens=[token] * CONNECTIONS,
            seconds=effort.seconds,
            warmup=effort.warmup,
        )
        reports = [servers.put_load(plan) for _ in range(min(effort.rounds, 3))]
    return Row(
        name="secure",
        value=median([report.rate for report in reports]),
        unit="/s",
        detail=latency("secure", reports),
    )


def start(folder: Path, effort: Effort) -> Row:
    """From `watchword serve` on an existing folder to its first answer (/readyz)."""
    data = folder / "data"
    with servers.watchword(data, core=None) as server:
        servers.sign_in(server)
        first = server.started
    times: list[float] = []
    memory: list[float] = []
    for _ in range(effort.starts):
        with servers.watchword(data, core=None) as server:
            times.append(server.started)
            memory.append(server.resident_mb())
    return Row(
        name="start",
        value=median(times),
        unit="s",
        budget="≤ 1 s; ≤ 90 MB resident",
        detail={
            "each": times,
            "on an empty folder, s": first,
            "resident after start, MB": median(memory),
        },
    )


def memory(folder: Path, effort: Effort) -> Row:
    """Resident memory of the whole process tree, after sign-ins and a refresh load."""
    with servers.watchword(folder / "data") as server:
        idle = server.resident_mb()
        tokens = servers.sign_in_many(server, CONNECTIONS)
        signed_in = server.resident_mb()
        load = Refreshing(server, tokens, effort)
        for _ in range(min(effort.rounds, 3)):
            load.round()
        loaded = server.resident_mb()
        processes = len(server.processes())
    return Row(
        name="memory",
        value=loaded,
        unit="MB",
        budget="≤ 90 MB resident",
        detail={
            "after start": idle,
            f"after {CONNECTIONS} sign-ins": signed_in,
            "processes": str(processes),
        },
    )


def sign_in(folder: Path, effort: Effort) -> Row:
    """Sign-ins against the bare hash, both on the server's core, as many threads."""
    seconds = effort.seconds
    reports: list[Report] = []
    hashes: list[float] = []
    with servers.watchword(folder / "data") as server:
        servers.sign_in(server)
        plan = servers.sign_in_plan(server, STORM, seconds=seconds)
        for _ in range(min(effort.rounds, 5)):
            hashes.append(servers.hash_rate(HASH_THREADS, seconds))
            reports.append(servers.put_load(plan))
    rates = [report.rate for report in reports]
    return Row(
        name="sign-in",
        value=median(rates),
        unit="/s",
        baseline=median(hashes),
        compared_with="bare argon2id /s",
        ratio=median(ratios(rates, hashes)),
        budget="≥ 0.9",
        detail={"sign-in /s of each round": rates, **latency("sign-in", reports)},
    )


def storm(folder: Path, effort: Effort) -> Row:
    """The p99 of refreshes while sign-ins are kept running, against the p99 without."""
    with servers.watchword(folder / "data") as server:
        tokens = servers.sign_in_many(server, CONNECTIONS)
        load = Refreshing(server, tokens, effort)
        idle: list[Report] = []
        stormy: list[Report] = []
        sign_ins: list[Report] = []
        for _ in range(effort.rounds):
            idle.append(load.round())
            # Longer than the refreshes at both ends: none of them is without a storm.
            plan = servers.sign_in_plan(
                server, STORM, warmup=0, seconds=effort.seconds + 1.5
            )
            process = servers.start_load(plan)
            stormy.append(load.round())
            sign_ins.append(servers.finish_load(process))
    value = [report.p99 for report in stormy]
    baseline = [report.p99 for report in idle]
    return Row(
        name="storm",
        value=median(value),
        unit="ms p99",
        baseline=median(baseline),
        compared_with="ms p99 idle",
        ratio=median(ratios(value, baseline)),
        budget="≤ 3",
        detail={
            "refresh /s in the storm": median([report.rate for report in stormy]),
            "refresh /s idle": median([report.rate for report in idle]),
            "sign-ins /s meanwhile": median([report.rate for report in sign_ins]),
            **latency("storm refresh", stormy),
            **latency("sign-in", sign_ins),
        },
    )


def profile(
    folder: Path,
    effort: Effort,
    store: StoreName = "sqlite",
    *,
    kind: Kind = "refresh",
    proofs: bool = False,
) -> Row:
    """Where the CPU time of a refresh goes: a table per thread, in results/."""
    RESULTS.mkdir(exist_ok=True)
    table = RESULTS / f"{folder.name}.txt"
    table.unlink(missing_ok=True)
    program = [*servers.PROFILED, str(table)]
    with backend(store, folder) as one, stores.serving(one, program=program) as server:
        tokens = servers.sign_in_many(server, CONNECTIONS, proofs=proofs)
        load = Refreshing(server, tokens, effort, kind=kind, proofs=proofs)
        rate = median([load.round().rate for _ in range(min(effort.rounds, 2))])
    if not table.exists():
        message = f"the profiled server wrote no {table}"
        raise servers.BenchFailed(message)
    return Row(
        name=folder.name,
        value=rate,
        unit="/s while profiled",
        detail={"table": str(table)},
    )


def _on_each(
    name: str, measure: Callable[..., Row], *names: StoreName
) -> dict[str, Callable[[Path, Effort], Row]]:
    """That row on each of these stores."""
    return {f"{name}-{store}": partial(measure, store=store) for store in names}


_ALL: Final = get_args(StoreName)

ROWS: Final[dict[str, Callable[[Path, Effort], Row]]] = {
    "refresh": partial(stores.refresh, store="sqlite"),
    "refresh-nokey": partial(stores.refresh, store="sqlite", key=False),
    **_on_each("refresh", stores.refresh, "postgresql", "redis", "cluster"),
    "redis-postgresql": stores.redis_postgresql,
    **_on_each("unbatched", stores.unbatched, "sqlite", "postgresql", "redis"),
    **_on_each("workers", stores.workers, *_ALL),
    **_on_each("sessions", curves.sessions, "sqlite", "postgresql", "redis"),
    **_on_each("connections", curves.connections, *_ALL),
    **_on_each("lists", lists, "sqlite", "postgresql"),
    "oauth-refresh": oauth_refresh,
    "dpop-refresh": dpop_refresh,
    "introspect": introspect,
    "exchange": partial(exchange, openid=False),
    "exchange-openid": partial(exchange, openid=True),
    "exchange-storm": exchange_storm,
    "secure": secure,
    "start": start,
    "memory": memory,
    "bytes-per-session": bytes_per_session,
    **_on_each("bytes-per-session", bytes_per_session_on, "postgresql", "redis"),
    "verify-cached": verify_cached,
    "verify-new": verify_new,
    "logout-reach": logout_reach,
    "logout-reach-workers": partial(logout_reach, workers=2),
    "jwks-once": jwks_once,
    "feed-memory": feed_memory,
    "sign-in": sign_in,
    "storm": storm,
    "client-storm": client_storm,
    **{f"{what}-known": partial(asking, what=what) for what in PATHS},
    "profile": profile,
    **_on_each("profile", profile, "postgresql", "redis"),
    "profile-oauth": partial(profile, kind="oauth-refresh"),
    "profile-dpop": partial(profile, proofs=True),
}
