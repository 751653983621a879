"""Verifiers that follow a real server: how soon a logout counts, what they fetch, keep.

Owns the rows of issue 5. The verifiers run in this process, on the load's core, and
each is asked about the token again and again, as requests would.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import tracemalloc
from base64 import b64decode
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from bench import servers
from bench.measuring import Effort
from bench.report import Row
from bench.servers import BenchFailed, Server
from watchword.core import limits
from watchword.errors import TokenRevoked
from watchword.verify import Verifier
from watchword.verify.following import Answer, EndedSession, FeedFollower

VERIFIERS: Final = 10
LOGOUTS: Final = 200
PARALLEL: Final = 10_000
ENTRIES: Final = 1_000_000
# Well above what is measured, and no part of it.
_PATIENCE: Final = 30.0
_LOOK: Final = 0.002


def logout_reach(folder: Path, effort: Effort, workers: int = 1) -> Row:
    """From the request for a logout to the refusal, by each of ten verifiers."""
    data = folder / "data"
    many = LOGOUTS if effort.rounds > 1 else LOGOUTS // 20
    settings = {"WATCHWORD_WORKERS": str(workers)}
    with servers.watchword(data, settings=settings) as server:
        servers.sign_in(server)
        basic = servers.add_client(data, "api", "--right", "feed")
        name, _, secret = b64decode(basic).decode().partition(":")
        os.sched_setaffinity(0, {servers.LOAD_CORE})
        try:
            times = asyncio.run(_reach(server, (name, secret), many))
        finally:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
    times.sort()
    share = sum(one <= 1 for one in times) / len(times)
    return Row(
        name=folder.name,
        value=share * 100,
        unit="% refused within 1 s",
        budget="≥ 99 %",
        detail={
            "logouts": str(many),
            "verifiers": str(VERIFIERS),
            "server processes": str(workers),
            "p50, ms": _quantile(times, 0.5) * 1000,
            "p99, ms": _quantile(times, 0.99) * 1000,
            "slowest, ms": times[-1] * 1000,
        },
    )


async def _reach(server: Server, feed: tuple[str, str], many: int) -> list[float]:
    url = f"http://127.0.0.1:{server.port}"
    verifiers = [Verifier(url, feed=feed) for _ in range(VERIFIERS)]
    times: list[float] = []
    client = httpx2.AsyncClient(base_url=url, timeout=servers.PATIENCE)
    async with client as http, asyncio.TaskGroup() as group:
        for verifier in verifiers:
            await verifier.__aenter__()
        try:
            for _ in range(many):
                times += await _log_out(http, group, verifiers)
                # Not in step with the polls.
                await asyncio.sleep(random.random() * 0.2)
        finally:
            for verifier in verifiers:
                await verifier.__aexit__()
    return times


async def _log_out(
    http: httpx2.AsyncClient, group: asyncio.TaskGroup, verifiers: list[Verifier]
) -> list[float]:
    credentials = {"username": servers.USERNAME, "password": servers.PASSWORD}
    tokens = (await http.post("/api/auth/login", json=credentials)).json()
    token = tokens["accessToken"]
    for verifier in verifiers:
        await verifier.verify(token)
    started = time.perf_counter()
    refusals = [group.create_task(_refused(one, token, started)) for one in verifiers]
    body = {"refreshToken": tokens["refreshToken"]}
    answer = await http.post("/api/auth/logout", json=body)
    answer.raise_for_status()
    return [await one for one in refusals]


async def _refused(verifier: Verifier, token: str, started: float) -> float:
    """Seconds until the token is refused."""
    while time.perf_counter() - started < _PATIENCE:
        try:
            await verifier.verify(token)
        except TokenRevoked:
            return time.perf_counter() - started
        await asyncio.sleep(_LOOK)
    message = "a verifier did not hear of a logout"
    raise BenchFailed(message)


def jwks_once(folder: Path, effort: Effort) -> Row:
    """How often the keys are fetched for ten thousand parallel first requests."""
    del effort
    with servers.watchword(folder / "data") as server:
        token = msgspec.json.decode(servers.sign_in(server))["accessToken"]
        requested, seconds = asyncio.run(_first_requests(server, token))
    return Row(
        name="jwks-once",
        value=sum(path.endswith("jwks.json") for path in requested),
        unit="fetches",
        budget="1",
        detail={
            "parallel first requests": f"{PARALLEL:,}",
            "all verified after, ms": seconds * 1000,
            "requests of any kind": str(len(requested)),
        },
    )


async def _first_requests(server: Server, token: str) -> tuple[list[str], float]:
    requested: list[str] = []

    async def note(request: httpx2.Request) -> None:
        requested.append(request.url.path)

    hooks: dict[str, Any] = {"request": [note]}
    async with (
        httpx2.AsyncClient(event_hooks=hooks) as http,
        Verifier(f"http://127.0.0.1:{server.port}", http=http) as verifier,
    ):
        started = time.perf_counter()
        await asyncio.gather(*(verifier.verify(token) for _ in range(PARALLEL)))
        return requested, time.perf_counter() - started


def feed_memory(folder: Path, effort: Effort) -> Row:
    """A follower that hears of a million logouts within one life of an access token."""
    del folder
    many = ENTRIES if effort.rounds > 1 else ENTRIES // 100
    life = limits.ACCESS_TTL + limits.FEED_LEEWAY
    now = 1

    def clock() -> int:
        return now

    tracemalloc.start()
    try:
        followed = FeedFollower(clock, clock, closed=True)
        for first in range(0, many, limits.FEED_PAGE):
            entries = [
                EndedSession(f"{number:036}", now, now + life)
                for number in range(first, first + limits.FEED_PAGE)
            ]
            followed.take(_answer(first, entries, now), sent=now, received=now)
            del entries
        full = tracemalloc.get_traced_memory()[0]
        known = len(followed)
        now += life
        followed.take(_answer(many, [], now), sent=now, received=now)
        empty = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return Row(
        name="feed-memory",
        value=full / known,
        unit="bytes for each",
        detail={
            "known at once": f"{known:,}",
            "MB then": full / 1e6,
            "known a life later": str(len(followed)),
            "MB then, later": empty / 1e6,
        },
    )


def _answer(first: int, entries: list[EndedSession], now: int) -> Answer:
    return Answer(
        cursor=f"x.{first}",
        entries=entries,
        more=False,
        complete=first == 0,
        now=now,
        complete_as_of=now,
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
