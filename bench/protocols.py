"""What a standard costs beyond the native refresh: OAuth's endpoint, DPoP's proof.

Owns the rows whose two sides are sessions of one server, refreshed in turn. Their
ratios are of the time for one refresh: 1.15 means 15 % more.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench import servers
from bench.load import Kind, Plan
from bench.measuring import (
    CONNECTIONS,
    Effort,
    Refreshing,
    in_turn,
    latency,
    median,
    ratios,
)
from bench.report import Row
from bench.servers import Server


def _against_native(
    folder: Path,
    effort: Effort,
    budget: str,
    *,
    kind: Kind = "refresh",
    proofs: bool = False,
) -> Row:
    name = folder.name
    with servers.watchword(folder / "data") as server:
        tokens = servers.sign_in_many(server, CONNECTIONS, proofs=proofs)
        ours = Refreshing(server, tokens, effort, kind=kind, proofs=proofs)
        tokens = servers.sign_in_many(server, CONNECTIONS)
        native = Refreshing(server, tokens, effort)
        ours.prime()
        in_turn(effort.rounds, [native, ours])
    each = ratios(native.rates(), ours.rates())
    return Row(
        name=name,
        value=median(ours.rates()),
        unit="/s",
        baseline=median(native.rates()),
        compared_with="native refresh /s",
        ratio=median(each),
        budget=budget,
        detail={
            "time ratio of each round": each,
            f"{name} /s of each round": ours.rates(),
            "native /s of each round": native.rates(),
            **latency(name, ours.reports),
            **latency("native", native.reports),
            "server's share of its core": median(ours.busy),
            "the same, native": median(native.busy),
            # What the clock does not show while others use the machine.
            "server's CPU for one, µs": ours.cpu,
            "the same for a native one, µs": native.cpu,
            "CPU ratio": median(ratios(ours.cpu, native.cpu)),
        },
    )


def oauth_refresh(folder: Path, effort: Effort) -> Row:
    """POST /oauth/token by the public client, against the native call."""
    budget = "time ≤ 1.15 of native"
    return _against_native(folder, effort, budget, kind="oauth-refresh")


def dpop_refresh(folder: Path, effort: Effort) -> Row:
    """The native call of a session bound to a key, each with a new proof."""
    return _against_native(folder, effort, "time ≤ 1.8 of native", proofs=True)


def _access_token(server: Server) -> str:
    token: str = msgspec.json.decode(servers.sign_in(server))["accessToken"]
    return token


def introspect(folder: Path, effort: Effort) -> Row:
    """An access token looked at by a resource server that proves its own secret."""
    data = folder / "data"
    with servers.watchword(data) as server:
        basic = servers.add_client(data, "api-server", "--right", "introspect")
        plan = Plan(
            kind="introspect",
            port=server.port,
            tokens=[_access_token(server)] * CONNECTIONS,
            seconds=effort.seconds,
            warmup=effort.warmup,
            basic=basic,
        )
        reports = [servers.put_load(plan) for _ in range(min(effort.rounds, 3))]
    return Row(
        name="introspect",
        value=median([report.rate for report in reports]),
        unit="/s",
        detail=latency("introspect", reports),
    )
