"""A form that was not accepted: the screen again, with what is wrong."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.errors import WatchwordError
from watchword.server.console.screens import Fault, Screen
from watchword.server.console_response import screen_of
from watchword.server.problems import error_headers, problem_of
from watchword.server.visitor import Owner

_WORDS: Final[dict[type[WatchwordError], tuple[str, str]]] = {
    errors.EmailInvalid: ("Enter a full mail address", "email"),
    errors.EmailTaken: ("Another account has this address, or had it lately", "email"),
    errors.NameTaken: ("This name is taken, or was until lately", "username"),
    errors.NameInvalid: ("Use another name", "username"),
    errors.VersionChanged: (
        (
            "This was changed after you opened it. What you typed is still here, and "
            "the rest is as it is now: look at both, and save again"
        ),
        "",
    ),
}
"""What an error says, and the field that it is usually about. Others say it themselves.
"""

_TIME: Final = "Enter a day and a time, such as 2026-11-28T22:41"
_OF_SEARCHES: Final = {
    "after": ("This link is too old: search again", ""),
    "q": ("Enter what a name or an address begins with", "q"),
    "client": ("Enter the id of a client", "client"),
    "address": ("Enter an IP address, such as 192.0.2.1", "address"),
    "from": (_TIME, "from"),
    "to": (_TIME, "to"),
}
"""What is said of a parameter of a search, and the id of its field."""

WRONG: Final[tuple[type[WatchwordError], ...]] = (
    *_WORDS,
    errors.InvalidRequest,
    errors.KeyNotReady,
    errors.Throttled,
)
"""What a form may be refused for that its user can mend."""


def search_fault(error: WatchwordError) -> Fault:
    """What is wrong with a search: the engine's sentence begins with a parameter."""
    text = str(error)
    return Fault(*_OF_SEARCHES.get(text.partition(" ")[0], (text, "")))


def refused(
    request: Request,
    admin: Owner,
    screen: Screen,
    error: WatchwordError,
    *fields: str,
    fault: Fault | None = None,
) -> Response:
    """The screen with these fields, and what was wrong with the form.

    `fault` says it where the error alone says too little.
    """
    words, field = _WORDS.get(type(error), (str(error), ""))
    problem = problem_of(error)
    request.scope["problem"] = problem.code  # for the access log
    fault = fault or Fault(words, field if field in fields else "")
    screen = replace(screen, faults=(fault,))
    response = screen_of(request, admin, screen, status=problem.status)
    for name, value in error_headers(error, problem.status, request.scope).items():
        response.headers[name] = value
    return response
