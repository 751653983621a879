"""/metrics of a server with several workers, some of which are killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import Final

import pytest

from tests.patience import auntil
from tests.scenarios.api import local_api, settings_for
from tests.server.live import Live
from watchword.server.endpoints.operation import metrics
from watchword.testing import ManualClock

_CALL: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SCRAPE: Final = (
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Accept: application/openmetrics-text; version=1.0.0\r\n\r\n"
)
_GROWS: Final = ("_total", "_bucket", "_count", "_sum")


class Callers:
    """Connections that call again and again, whatever becomes of their worker."""

    def __init__(self, live: Live, calls: int) -> None:
        self._live = live
        self._left = calls
        self.answered = self.cut_off = 0

    async def call(self) -> None:
        while self._left > 0:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._call_on()
        assert self._left == 0

    async def _call_on(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._live.port)
        try:
            while self._left > 0:
                self._left -= 1
                self.cut_off += 1
                writer.write(_CALL)
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2]
                await reader.readexactly(int(length.partition(b"\r\n")[0]))
                self.cut_off -= 1
                self.answered += 1
        finally:
            writer.close()


_COUNTED: Final = (
    'watchword_http_requests_total{method="GET",route="/healthz",status="200"}'
)


async def scrape(live: Live) -> dict[str, float]:
    """Every number, by name and labels; none where the answer was cut off."""
    body = b""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(_SCRAPE)
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
    if not body.endswith(b"# EOF\n"):
        return {}
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {key: float(number) for key, _, number in (x.rpartition(" ") for x in lines)}


def workers_of(live: Live) -> list[int]:
    """The processes of the workers, the oldest first."""
    children = Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text()
    return sorted(map(int, children.split()))


@pytest.mark.parametrize(
    ("workers", "calls"),
    [
        pytest.param(2, 1_000, id="2"),
        pytest.param(4, 10_000, id="4", marks=pytest.mark.slow),
    ],
)
async def test_no_counter_falls_though_each_worker_is_killed_in_turn(
    tmp_path: Path, workers: int, calls: int
) -> None:
    """And the total is what was called, give or take the calls that a kill cut off.

    The log is JSON, whichever process writes it.
    """
    flags = ("--workers", str(workers))
    with Live(tmp_path / "data", *flags, WATCHWORD_LOG_FORMAT="json") as live:
        await auntil(lambda: len(workers_of(live)) == workers)
        callers = Callers(live, calls)
        calling = asyncio.gather(*(callers.call() for _ in range(8)))
        last = await scrape(live)
        killed = 0
        first = workers_of(live)
        while not calling.done():
            if killed < workers and callers.answered > calls * (killed + 1) / 8:
                os.kill(first[killed], signal.SIGKILL)
                killed += 1
            now = await scrape(live)
            for key, number in last.items() if now else ():
                if key.partition("{")[0].endswith(_GROWS):
                    assert now[key] >= number, key
            last = now or last
            await asyncio.sleep(0.05)
        await calling
        assert killed == workers
        await auntil(lambda: len(workers_of(live)) == workers)

        async def total() -> float:
            return (await scrape(live)).get(_COUNTED, 0)

        await auntil(total)
        assert 0 <= await total() - callers.answered <= callers.cut_off
        assert live.stop() == 0
    said = [json.loads(line) for line in live.printed().splitlines()]
    assert f"{live.url}/api/auth" in {one.get("api") for one in said}
    ended = [one for one in said if "takes its place" in one.get("message", "")]
    assert len(ended) == workers


async def test_while_a_scrape_is_written_other_requests_are_answered(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full pages take a second, and each request of the process would wait for it."""
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object) -> tuple[bytes, str]:
        loop.call_soon_threadsafe(begun.set)
        return str(may_end.wait(5)).encode(), "text/plain"

    monkeypatch.setattr(metrics, "scrape", slow)
    url = "http://127.0.0.1:8000/metrics"
    async with local_api(settings_for(tmp_path, "memory"), clock) as api:
        scraping = asyncio.create_task(api.client.get(url))
        await begun.wait()
        assert (await api.client.get("/healthz")).status_code == 200
        may_end.set()
        assert (await scraping).text == "True"
