"""Known and unknown addresses: how far apart the answers to them come.

Owns the rows of `/register` and `/password/forgot`. Each request is for an address that
none was for before, and comes from a network of its own. Known and unknown ones are
asked for in an order that is drawn anew.
"""

from __future__ import annotations

import asyncio
import http.client
import math
import random
import statistics
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import servers
from bench.measuring import Effort
from bench.report import Row
from watchword import load_settings, open_watchword
from watchword.core.actor import SYSTEM

SETTINGS: Final = {
    "WATCHWORD_REGISTRATION": "open",
    "WATCHWORD_BEHIND_PROXY": "127.0.0.1",
    "WATCHWORD_ISSUER": "https://127.0.0.1",
}
PATHS: Final = {"register": "register", "forgot": "password/forgot"}


def asking(folder: Path, effort: Effort, *, what: str) -> Row:
    """The medians of a request for known and for unknown addresses, and a rank test."""
    count = 200 if effort.rounds > 1 else 4
    data = folder / "data"
    with servers.watchword(data, settings=SETTINGS):
        pass  # the first start
    asyncio.run(_accounts(data, count))
    turns = list(product(("known", "unknown"), range(count)))
    random.Random(what).shuffle(turns)
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    with servers.watchword(data, settings=SETTINGS) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for turn, (kind, number) in enumerate(turns, 256):
            body: dict[str, Any] = {"email": f"{kind}-{number}@example.org"}
            if what == "register":
                body["password"] = servers.PASSWORD
            network = f"10.{turn // 256}.{turn % 256}.1"
            times[kind].append(_timed(connection, PATHS[what], body, network))
        connection.close()
    known, unknown = times["known"], times["unknown"]
    return Row(
        name=folder.name,
        value=statistics.median(known),
        unit="ms for known addresses",
        baseline=statistics.median(unknown),
        compared_with="ms for unknown ones",
        ratio=statistics.median(known) / statistics.median(unknown),
        budget="p ≥ 0.01",
        detail={"p of a rank test": rank_test(known, unknown), "each": count},
    )


async def _accounts(data: Path, count: int) -> None:
    """As many accounts, each with a confirmed address and no password."""
    settings = load_settings(data=data, registration="open")
    async with open_watchword(settings, background=False) as watchword:
        assert watchword.self_service is not None
        assign = watchword.self_service.email_changes.assign
        for number in range(count):
            name = f"known-{number}"
            # As an import makes them: nothing is hashed.
            account = await watchword.accounts.import_hash(name, "!", by=SYSTEM)
            await assign(account.id, f"{name}@example.org", confirmed=True, by=SYSTEM)


def _timed(
    connection: http.client.HTTPConnection,
    path: str,
    body: dict[str, Any],
    network: str,
) -> float:
    """The milliseconds until the answer was there."""
    headers = {
        "Content-Type": "application/json",
        "X-Forwarded-For": network,
        "X-Forwarded-Proto": "https",
    }
    started = time.perf_counter()
    connection.request("POST", f"/api/auth/{path}", msgspec.json.encode(body), headers)
    answer = connection.getresponse()
    said = answer.read()
    spent = (time.perf_counter() - started) * 1000
    if answer.status != http.HTTPStatus.ACCEPTED:
        message = f"{path} answered {answer.status}: {said[:300]!r}"
        raise servers.BenchFailed(message)
    return spent


def rank_test(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability that samples of one distribution differ as much in their ranks.

    Mann-Whitney U, two-sided, by its normal approximation: for samples of 20 and more.
    """
    ranked = sorted([(value, True) for value in one] + [(v, False) for v in other])
    ranks = sum(rank for rank, (_, is_one) in enumerate(ranked, 1) if is_one)
    n, m = len(one), len(other)
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    z = (ranks - n * (n + m + 1) / 2) / deviation
    return math.erfc(abs(z) / math.sqrt(2))
