"""A page is two endpoints: what shows it, and what takes its form."""

from __future__ import annotations

from watchword.server.operation import Handler, Operation
from watchword.server.problems import ErrorFormat


def page_operations(
    path: str, show: Handler, submit: Handler
) -> tuple[Operation, Operation]:
    """GET and POST of a page. A GET changes nothing."""
    return _page("GET", path, show), _page("POST", path, submit)


def _page(method: str, path: str, handler: Handler) -> Operation:
    return Operation(
        method=method,
        path=path,
        handler=handler,
        error_format=ErrorFormat.PAGE,
        is_page=True,
        needs_accounts=True,
        is_documented=False,
    )
