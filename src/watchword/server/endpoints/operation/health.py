"""GET /healthz, /readyz: whether the process is alive, and whether it can answer."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.operation import Operation
from watchword.server.parsing import engine_of
from watchword.server.responses import JSON


class Health(msgspec.Struct, frozen=True):
    status: str = "ok"


async def healthz(_: Request) -> Response:
    return JSON(Health())


HEALTH = Operation(
    method="GET",
    path="/healthz",
    handler=healthz,
    is_embedded=False,
    needs_https=False,
    summary="Alive",
    description="No I/O: a slow store does not get the process killed.",
    tag="operation",
    response=Health,
)


async def readyz(request: Request) -> Response:
    await engine_of(request).check()
    return JSON(Health("ready"))


READY = Operation(
    method="GET",
    path="/readyz",
    handler=readyz,
    is_embedded=False,
    needs_https=False,
    summary="Ready",
    description=(
        "The store answers and takes writes, a key signs, the revocation feed is "
        "current."
    ),
    tag="operation",
    response=Health,
    errors=(errors.StoreUnavailable,),
)
