"""An endpoint as one declaration: routes, hot paths and document are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import WatchwordError
from watchword.server.problems import ErrorFormat

BASE: Final = "/api/auth"
"""What the paths of the session's calls begin with."""

ADMIN_BASE: Final = "/api/admin"
"""What the paths of the admin API begin with."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint: how it is served, and what the OpenAPI document says of it.

    `handler` answers `method` at `path`, and at `more_paths`, which no document names.
    `error_format` also holds for other methods at that path. `headers` says what
    the headers of a good answer are, `other_answers` of other statuses without a body
    when they come.

    is_hot          the handler is called by method and exact path, without Starlette
    is_embedded     it is also served inside another application
    is_documented   the OpenAPI document has it, with all fields from `summary` on
    needs_https     behind a proxy it is refused if it did not come over HTTPS
    is_page         it is one of the pages for users, or a file that they need
    needs_accounts  it is not served in an application that has users of its own
    needs_bearer    nothing in the body replaces the access token
    is_versioned    it changes one thing, and needs the version in If-Match
    """

    method: str
    path: str
    handler: Handler
    more_paths: tuple[str, ...] = ()
    error_format: ErrorFormat = ErrorFormat.PROBLEM
    is_hot: bool = False
    is_embedded: bool = True
    is_documented: bool = True
    needs_https: bool = True
    is_page: bool = False
    needs_accounts: bool = False
    summary: str = ""
    description: str = ""
    tag: str = "session"
    request: Any = None
    request_required: bool = True
    request_media_type: str = "application/json"
    example: Any = None
    response: Any = None
    response_media_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = {}
    other_answers: Mapping[int, str] = {}
    bearer: bool = False
    needs_bearer: bool = False
    is_versioned: bool = False
    cookie: bool = False
    client: bool = False
    query: Mapping[str, Any] = {}
    retry_key: bool = False
    dpop: bool = False
    errors: tuple[type[WatchwordError], ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the handler answers."""
        return (self.path, *self.more_paths)


def page_operations(
    path: str, show: Handler, submit: Handler
) -> tuple[Operation, Operation]:
    """GET and POST of a page for users: what shows it, and what takes its form."""
    return _page("GET", path, show), _page("POST", path, submit)


def screen_operations(
    screen: str, show: Handler, submit: Handler | None = None, *more_paths: str
) -> tuple[Operation, ...]:
    """GET of a screen of the console, and POST where it has forms."""
    path = f"/console/{screen}"
    shown = _page("GET", path, show, more_paths)
    return (shown,) if submit is None else (shown, _page("POST", path, submit))


def _page(
    method: str, path: str, handler: Handler, more_paths: tuple[str, ...] = ()
) -> Operation:
    return Operation(
        method=method,
        path=path,
        more_paths=more_paths,
        handler=handler,
        error_format=ErrorFormat.PAGE,
        is_page=True,
        needs_accounts=True,
        is_documented=False,
    )
