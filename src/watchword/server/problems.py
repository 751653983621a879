"""The one map from errors to the wire.

Problem details (RFC 9457) with the challenges of RFC 6750 and RFC 9449; the OAuth
endpoints answer as RFC 6749 §5.2 says. An error that has no row here is a 500 that says
nothing. Adding an error means one class and one row; a test fails until both are there.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from watchword import errors
from watchword.errors import TryAgain, WatchwordError
from watchword.verify.dpop import DPOP_ALGORITHMS

_log = logging.getLogger("watchword.server")
REALM: Final = "watchword"


class MethodNotAllowed(WatchwordError):
    """The path exists, and not for that method."""

    code = "method_not_allowed"
    message = "This path does not take that method."


class UnsupportedMediaType(WatchwordError):
    """Not JSON (a form would be CSRF's way in), or for OAuth not a form."""

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
    errors.InvalidScope: 400,
    errors.InvalidTarget: 400,
    errors.UnauthorizedClient: 400,
    errors.UnsupportedGrantType: 400,
    errors.UnsupportedTokenType: 400,
    errors.InvalidProof: 400,
    errors.NonceNeeded: 400,
    errors.CsrfRejected: 403,
    errors.InsufficientScope: 403,
    errors.InsufficientRole: 403,
    errors.NotFound: 404,
    errors.NameTaken: 409,
    errors.PasswordRejected: 422,
    errors.InvalidCredentials: 401,
    errors.InvalidClient: 401,
    errors.TokenMissing: 401,
    errors.TokenInvalid: 401,
    errors.TokenExpired: 401,
    errors.TokenRevoked: 401,
    errors.TokenProofInvalid: 401,
    errors.TokenNonceNeeded: 401,
    errors.InsufficientAuthentication: 401,
    errors.RefreshInvalid: 401,
    errors.RefreshReused: 401,
    errors.SessionExpired: 401,
    errors.SessionRevoked: 401,
    errors.Throttled: 429,
    errors.Overloaded: 503,
    errors.StoreUnavailable: 503,
    # Of clients alone: no answer carries them.
    errors.SignedOut: 500,
    errors.Unreachable: 500,
    errors.TokenFileError: 500,
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

OAUTH_PATHS: Final = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
# Every refusal of a grant looks the same there (RFC 6749 §5.2): who guesses learns
# nothing, and a client can do nothing else about any of them than sign in again.
_GRANT_REFUSED: Final = "The token is not valid for this client, or no more."
# The error codes of RFC 6749, 7009, 8707 and 9449; others are an invalid_request there.
_OAUTH_CODES: Final = frozenset(
    error.code
    for error in (
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.InvalidScope,
        errors.InvalidTarget,
        errors.UnauthorizedClient,
        errors.UnsupportedGrantType,
        errors.UnsupportedTokenType,
        errors.InvalidProof,
        errors.NonceNeeded,
    )
)
_ALGS: Final = " ".join(DPOP_ALGORITHMS)


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


def respond(error: Exception, scope: Scope | None = None) -> Response:
    """The answer for an error that an endpoint raised, to the request of that scope."""
    if not isinstance(error, WatchwordError) or type(error) not in STATUS:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        error = Internal()
    scope = scope or {}
    problem = problem_of(error)
    oauth = scope.get("path") in OAUTH_PATHS
    status, body = (problem.status, problem) if not oauth else _oauth(error, problem)
    response = Response(
        msgspec.json.encode(body),
        status,
        _headers(error, problem, status, scope),
        media_type="application/json" if oauth else "application/problem+json",
    )
    response.code = problem.code  # type: ignore[attr-defined]  # for the access log
    return response


def oauth_status(kind: type[WatchwordError]) -> tuple[int, str]:
    """Status and error code of an error at the OAuth endpoints."""
    status = STATUS.get(kind, 500)
    if issubclass(kind, errors.RefreshError):
        return 400, "invalid_grant"
    if issubclass(kind, TryAgain):  # the code of RFC 6749 §4.1.2.1
        return status, "temporarily_unavailable"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, "server_error"
    if kind is UnsupportedMediaType:
        status = 400
    return status, kind.code if kind.code in _OAUTH_CODES else "invalid_request"


def _oauth(error: WatchwordError, problem: Problem) -> tuple[int, dict[str, str]]:
    status, code = oauth_status(type(error))
    text = _GRANT_REFUSED if code == "invalid_grant" else problem.detail
    # The characters that RFC 6749 §5.2 allows.
    text = text.replace('"', "'").replace("\\", "/")
    return status, {"error": code, "error_description": text}


def _headers(
    error: WatchwordError, problem: Problem, status: int, scope: Scope
) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if isinstance(error, TryAgain):
        headers["retry-after"] = str(max(1, error.retry_after))
    if status == HTTPStatus.UNAUTHORIZED or isinstance(error, errors.InsufficientScope):
        headers["www-authenticate"] = _challenge(error, problem, scope)
    return headers


def _challenge(error: WatchwordError, problem: Problem, scope: Scope) -> str:
    if isinstance(error, errors.InvalidClient):
        return f'Basic realm="{REALM}"'
    # RFC 6750 §3.1: without credentials a challenge carries no error code, and a wrong
    # password is no matter of tokens.
    if isinstance(error, errors.InvalidCredentials):
        return f'Bearer realm="{REALM}"'
    told = _error_parameters(error, problem)
    if isinstance(error, errors.RefreshError):
        return _scheme("Bearer", told)
    # RFC 9449 §7.2: both schemes, and the error under the one that was used.
    used = scope.get("challenge", "Bearer")
    metadata = scope.get("state", {}).get("resource_metadata")
    where = {} if metadata is None else {"resource_metadata": metadata}
    bearer = _scheme("Bearer", (told if used == "Bearer" else {}) | where)
    dpop = _scheme("DPoP", (told if used == "DPoP" else {}) | {"algs": _ALGS})
    return f"{bearer}, {dpop}" if used == "Bearer" else f"{dpop}, {bearer}"


def _scheme(name: str, parameters: dict[str, str]) -> str:
    shown = {"realm": REALM, **parameters}
    return f"{name} " + ", ".join(f'{key}="{text}"' for key, text in shown.items())


def _error_parameters(error: WatchwordError, problem: Problem) -> dict[str, str]:
    if isinstance(error, errors.TokenMissing):
        return {}
    told: dict[str, Any] = {"error": "invalid_token"}
    if isinstance(
        error,
        errors.TokenProofInvalid
        | errors.TokenNonceNeeded
        | errors.InsufficientScope
        | errors.InsufficientAuthentication,
    ):
        told["error"] = error.code
    told["error_description"] = problem.detail
    if isinstance(error, errors.InsufficientScope):
        told["scope"] = error.scope
    if isinstance(error, errors.InsufficientAuthentication):
        needed = {"acr_values": error.acr_values, "max_age": error.max_age}
        told |= {k: str(value) for k, value in needed.items() if value is not None}
    return told


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
