"""GET /metrics: what the processes of this server have counted, for Prometheus."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import NotFound
from watchword.metrics.exposition import scrape
from watchword.server.listeners import may_read_metrics
from watchword.server.operation import Operation
from watchword.server.parsing import engine_of

_THREAD: Final = ThreadPoolExecutor(1, "scrape")
"""All pages full of series take a second, in which other requests are answered.

One thread, because a page is read by one at a time.
"""


async def metrics(request: Request) -> Response:
    """As text or OpenMetrics, by `Accept`. Raises NotFound where it is not shown."""
    if not may_read_metrics(request):
        raise NotFound
    measured = engine_of(request).measured
    if measured is not None:
        await measured.levels.write()
        await measured.levels.write_process()
    pages, accept = request.state.metrics, request.headers.get("accept", "")
    body, media_type = await asyncio.get_running_loop().run_in_executor(
        _THREAD, lambda: scrape(pages.read(), accept)
    )
    headers = {"content-type": media_type, "cache-control": "no-store"}
    return Response(body, headers=headers)


OPERATION: Final = Operation(
    method="GET",
    path="/metrics",
    handler=metrics,
    is_embedded=False,
    is_documented=False,
    # Whatever scrapes is inside the network, and sends no secret.
    needs_https=False,
)
