"""Counts requests, by the route that answered, the method and the status.

All three are of bounded sets: callers cannot make up routes, methods or statuses.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final

from starlette.types import Scope

from watchword.metrics import Metrics
from watchword.metrics.catalog import OTHER, Counter, Histogram
from watchword.metrics.pages import Page
from watchword.server.operation import Operation

Count = Callable[[int, float], None]
"""Counts one request by its status, and the seconds that it took."""

_REQUESTS: Final = Counter.HTTP_REQUESTS
_DURATION: Final = Histogram.HTTP_DURATION
_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
)
# 0: the client had gone, or the process ended, before there was an answer.
_STATUSES: Final = {0: "none"} | {one: str(one) for one in range(100, 600)}


class RequestCounts:
    """The requests to these operations, and all others."""

    def __init__(self, metrics: Metrics, operations: Collection[Operation]) -> None:
        self._metrics = metrics
        self._routes = {path for one in operations for path in one.paths}

    def of(self, route: str, method: str) -> Count:
        """What counts the requests to a hot route: it looks up as little as it can."""
        page = self._metrics
        if not isinstance(page, Page):
            return lambda _status, _seconds: None
        numbers, bounds = page.numbers, _DURATION.bounds
        first = page.place(_DURATION, route)
        total = first + len(bounds) + 1
        places: dict[int, int] = {}

        def count(status: int, seconds: float) -> None:
            if status not in places:
                shown = _STATUSES.get(status, OTHER)
                places[status] = page.place(_REQUESTS, route, method, shown)
            numbers[places[status]] += 1
            numbers[first + bisect_left(bounds, seconds)] += 1
            numbers[total] += seconds

        return count

    def answered(self, scope: Scope, status: int, begun: float) -> None:
        """Count a request that began then, by the clock of `time.perf_counter`."""
        seconds = time.perf_counter() - begun
        method = scope["method"]
        # Of a path that does not take it, it may be any method.
        if method not in _METHODS or status == HTTPStatus.METHOD_NOT_ALLOWED:
            method = OTHER
        shown = _STATUSES.get(status, OTHER)
        route = self._route_of(scope)
        self._metrics.count(_REQUESTS, route, method, shown)
        self._metrics.observe(_DURATION, seconds, route)

    def _route_of(self, scope: Scope) -> str:
        """The path by which the request was routed, with names for what varies in it.

        What no endpoint has asked for is `other`.
        """
        route = getattr(scope.get("route"), "path", scope["path"])
        return route if route in self._routes else OTHER
