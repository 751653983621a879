"""The one map from errors to the wire (RFC 9457 problem details, RFC 6750 challenges).

An error that has no row here is a 500 that says nothing. Adding an error means one
class and one row; a test fails until both are there.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from watchword import errors
from watchword.errors import TryAgain, WatchwordError

_log = logging.getLogger("watchword.server")
REALM: Final = "watchword"


class MethodNotAllowed(WatchwordError):
    """The path exists, and not for that method."""

    code = "method_not_allowed"
    message = "This path does not take that method."


class UnsupportedMediaType(WatchwordError):
    """Anything but JSON: a form would be CSRF's way in."""

    code = "unsupported_media_type"
    message = "The body must be JSON, sent as Content-Type: application/json."


class PayloadTooLarge(WatchwordError):
    """The body is larger than any that is meant."""

    code = "payload_too_large"
    message = "The body is too large."


class HttpsRequired(WatchwordError):
    """The request came in clear, or past the proxy."""

    code = "https_required"
    message = "This server is only reached over HTTPS."


class Internal(WatchwordError):
    """What nobody foresaw. The log has it; the answer says nothing."""

    code = "internal_error"
    message = "Something went wrong on our side."


STATUS: Final[dict[type[WatchwordError], int]] = {
    errors.InvalidRequest: 400,
    errors.RetryKeyReused: 400,
    errors.NotFound: 404,
    errors.NameTaken: 409,
    errors.PasswordRejected: 422,
    errors.InvalidCredentials: 401,
    errors.TokenMissing: 401,
    errors.TokenInvalid: 401,
    errors.TokenExpired: 401,
    errors.TokenRevoked: 401,
    errors.RefreshInvalid: 401,
    errors.RefreshReused: 401,
    errors.SessionExpired: 401,
    errors.SessionRevoked: 401,
    errors.Throttled: 429,
    errors.Overloaded: 503,
    errors.StoreUnavailable: 503,
    # A running server meets these only where an operator must act.
    errors.SettingsError: 500,
    errors.SchemaError: 500,
    errors.KeyRingError: 500,
    MethodNotAllowed: 405,
    UnsupportedMediaType: 415,
    PayloadTooLarge: 413,
    HttpsRequired: 403,
    Internal: 500,
}

# RFC 6750 §3.1: without credentials a challenge carries no error code, and a wrong
# password is no matter of tokens.
_PLAIN_CHALLENGE: Final = (errors.TokenMissing, errors.InvalidCredentials)


class Problem(msgspec.Struct, frozen=True):
    """The body of every error. `code` is stable; programs branch on it."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def problem_of(error: WatchwordError) -> Problem:
    """The body for an error, without any detail for those that are our fault."""
    status = STATUS.get(type(error), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        error = Internal()
    code = error.code
    title = HTTPStatus(status).phrase
    return Problem(f"urn:watchword:problem:{code}", title, status, str(error), code)


def respond(error: Exception) -> Response:
    """The answer for an error that an endpoint raised."""
    if not isinstance(error, WatchwordError) or type(error) not in STATUS:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        error = Internal()
    problem = problem_of(error)
    headers = {"cache-control": "no-store"}
    if isinstance(error, TryAgain):
        headers["retry-after"] = str(max(1, error.retry_after))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = _challenge(error, problem)
    response = Response(
        msgspec.json.encode(problem),
        problem.status,
        headers,
        media_type="application/problem+json",
    )
    response.code = problem.code  # type: ignore[attr-defined]  # for the access log
    return response


def _challenge(error: WatchwordError, problem: Problem) -> str:
    challenge = f'Bearer realm="{REALM}"'
    if isinstance(error, _PLAIN_CHALLENGE):
        return challenge
    return f'{challenge}, error="invalid_token", error_description="{problem.detail}"'


def _raw(status: int, code: str, detail: str) -> bytes:
    """A whole answer for requests that no application sees."""
    title = HTTPStatus(status).phrase
    problem = Problem(f"urn:watchword:problem:{code}", title, status, detail, code)
    body = msgspec.json.encode(problem)
    head = (
        f"HTTP/1.1 {status} {title}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


MALFORMED: Final = _raw(400, "invalid_request", "This is not HTTP/1.1.")
HEAD_TOO_LARGE: Final = _raw(431, "invalid_request", "The request head is too large.")
REQUEST_TIMEOUT: Final = _raw(408, "invalid_request", "The request took too long.")
