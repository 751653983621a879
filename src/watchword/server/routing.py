"""The routes to declared endpoints, and the answers to errors behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from watchword.errors import NotFound, WatchwordError
from watchword.server.operation import Handler, Operation
from watchword.server.problems import Internal, MethodNotAllowed, answer_to


def routed(
    operations: Iterable[Operation], *, lifespan: Lifespan[Starlette] | None = None
) -> Starlette:
    """An application that routes to these endpoints and answers their errors.

    The scope of each request must have the engine: `scope["state"]["watchword"]`.
    """
    application = Starlette(
        routes=[
            Route(path, _by_method(handlers), methods=list(handlers))
            for path, handlers in _handlers(operations).items()
        ],
        lifespan=lifespan,
        exception_handlers={
            WatchwordError: _failed,
            HTTPException: _not_routed,
            # Named here, because Starlette raises an error again, and logs it, if only
            # the handler of `Exception` catches it.
            ClientDisconnect: _failed,
            Exception: _failed,
        },
    )
    # Starlette would redirect a path with a slash too many to the host that the Host
    # header names.
    application.router.redirect_slashes = False
    return application


def _handlers(operations: Iterable[Operation]) -> dict[str, dict[str, Handler]]:
    """The handlers of each path by method: a 405 must name all of its methods."""
    found: dict[str, dict[str, Handler]] = {}
    for one in operations:
        for path in one.paths:
            found.setdefault(path, {})[one.method] = one.handler
    return found


def _by_method(handlers: Mapping[str, Handler]) -> Handler:
    if len(handlers) == 1:
        return next(iter(handlers.values()))

    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return handle


async def _failed(request: Request, error: Exception) -> Response:
    return answer_to(error, request.scope)


async def _not_routed(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    ours = {404: NotFound, 405: MethodNotAllowed}.get(status, Internal)
    response = answer_to(ours(), request.scope)
    allowed = (getattr(error, "headers", None) or {}).get("Allow")
    if allowed:
        response.headers["allow"] = allowed
    return response
