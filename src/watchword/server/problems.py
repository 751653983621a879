"""The one map from errors to the wire.

Errors are answered by problem details (RFC 9457), with the challenges of
`tokens/challenges.py`, in the form of OAuth (RFC 6749 §5.2), or by a page for users. An
error without a row here is a 500 without details. Adding an error means one class and
one row; a test fails until both are there.
"""

from __future__ import annotations

import logging
from enum import Enum
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from watchword import errors
from watchword.errors import TryAgain, WatchwordError
from watchword.factors.proof import Method
from watchword.server.pages.errors import error_page
from watchword.server.pages.frames import frame_of
from watchword.server.pages.rendering import HEADERS, HTML, render
from watchword.server.request_ids import REQUEST_ID
from watchword.tokens import challenges
from watchword.tokens.challenges import Problem

_log = logging.getLogger("watchword.server")


class MethodNotAllowed(WatchwordError):
    """The path exists, but not with that method."""

    code = "method_not_allowed"
    message = "This path does not take that method."


class UnsupportedMediaType(WatchwordError):
    """The body is not JSON, or for the OAuth endpoints not a form.

    Forms are refused elsewhere, because a foreign page can send them (CSRF).
    """

    code = "unsupported_media_type"
    message = "The body must be JSON, sent as Content-Type: application/json."


class PayloadTooLarge(WatchwordError):
    """The body is larger than any legitimate one."""

    code = "payload_too_large"
    message = "The body is too large."


class LengthRequired(WatchwordError):
    """The body has no length, and the WSGI server does not tell where it ends."""

    code = "length_required"
    message = "The body needs a Content-Length here."


class HttpsRequired(WatchwordError):
    """The request came in plain HTTP, or past the proxy."""

    code = "https_required"
    message = "This server is only reached over HTTPS."


class Internal(WatchwordError):
    """An unexpected error. The log has the error; the answer says nothing about it."""

    code = "internal_error"
    message = "Something went wrong on our side."


STATUS: Final[dict[type[WatchwordError], int]] = challenges.STATUS | {
    errors.RetryKeyReused: 400,
    errors.InvalidScope: 400,
    errors.InvalidTarget: 400,
    errors.UnauthorizedClient: 400,
    errors.UnsupportedGrantType: 400,
    errors.UnsupportedResponseType: 400,
    errors.RequestNotSupported: 400,
    errors.UnsupportedTokenType: 400,
    errors.InvalidProof: 400,
    errors.NonceNeeded: 400,
    errors.EmailInvalid: 400,
    errors.NameInvalid: 400,
    errors.RegistrationRefused: 403,
    errors.CsrfRejected: 403,
    errors.NotFound: 404,
    errors.VersionChanged: 412,
    errors.VersionRequired: 428,
    errors.NameTaken: 409,
    errors.EmailTaken: 409,
    errors.LastAdmin: 409,
    errors.LastFactor: 409,
    errors.KeyNotReady: 409,
    errors.ConfirmationInvalid: 400,
    errors.PasswordRejected: 422,
    errors.InvalidCredentials: 401,
    errors.SecondFactorRequired: 401,
    errors.SecondFactorEnrolmentRequired: 401,
    errors.SecondFactorInvalid: 401,
    errors.ContinuationExpired: 401,
    errors.InvalidClient: 401,
    errors.InteractionExpired: 400,
    errors.CodeInvalid: 401,
    errors.CodeReused: 401,
    errors.RefreshInvalid: 401,
    errors.RefreshReused: 401,
    errors.SessionExpired: 401,
    errors.SessionRevoked: 401,
    errors.Throttled: 429,
    # Raised by clients only: no server answers with them.
    errors.SignedOut: 500,
    errors.Unreachable: 500,
    errors.TokenFileError: 500,
    # A running server raises these only where an operator must act.
    errors.SettingsError: 500,
    errors.SchemaError: 500,
    errors.KeyRingError: 500,
    errors.MailNotSent: 500,
    MethodNotAllowed: 405,
    UnsupportedMediaType: 415,
    LengthRequired: 411,
    PayloadTooLarge: 413,
    HttpsRequired: 403,
    Internal: 500,
}


class ErrorFormat(Enum):
    """How the errors of an endpoint are written. The values are media types."""

    PROBLEM = challenges.PROBLEM_JSON
    """Problem details (RFC 9457)."""
    OAUTH = "application/json"
    """An `OAuthError` (RFC 6749 §5.2)."""
    PAGE = HTML
    """A page that says what happened, in the language of the user."""


class OAuthError(msgspec.Struct, frozen=True):
    """The body of every error of the OAuth endpoints (RFC 6749 §5.2)."""

    error: str
    error_description: str


class SecondStepProblem(Problem, frozen=True, rename="camel"):
    """The body of a sign-in that needs a second factor, or one to be enrolled.

    `continuation` goes on where the sign-in stopped, for `expiresIn` seconds. `methods`
    are those that the user has, or that may be enrolled.
    """

    continuation: str
    methods: tuple[Method, ...]
    expires_in: int


class ErrorResponse(Response):
    """The answer to an error, and the code of its problem for the access log."""

    code: str


_OF_SIGN_INS: Final = (
    errors.InvalidCredentials,
    errors.SecondFactorRequired,
    errors.SecondFactorInvalid,
    errors.ContinuationExpired,
)
BEARER_ALONE: Final = "bearer_alone"
"""In a scope: the token is for another program, which takes it as Bearer alone."""
SET_CONTINUATION: Final = "set_continuation"
"""Where a scope has the `Set-Cookie` that goes with a continuation, if there is one."""

# At the OAuth endpoints every refused grant gets the same answer (RFC 6749 §5.2). A
# client that guesses tokens learns nothing from it, and an honest client can only sign
# in again, whatever the reason was.
_GRANT_REFUSED: Final = "The token is not valid for this client, or no more."
# The error codes of RFC 6749, 7009, 8707 and 9449, and of OpenID Connect. At the OAuth
# endpoints every other code becomes invalid_request.
_OAUTH_CODES: Final = frozenset(
    error.code
    for error in (
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.InvalidScope,
        errors.InvalidTarget,
        errors.UnauthorizedClient,
        errors.UnsupportedGrantType,
        errors.UnsupportedResponseType,
        errors.RequestNotSupported,
        errors.UnsupportedTokenType,
        errors.InvalidProof,
        errors.NonceNeeded,
    )
)


def problem_of(error: WatchwordError) -> Problem:
    """The problem for an error. A fault of the server's own has no details in it."""
    status = STATUS.get(type(error), 500)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        error = Internal()
    problem = challenges.problem(error, status)
    if isinstance(error, errors.SecondFactorRequired):
        return SecondStepProblem(
            **msgspec.structs.asdict(problem),
            continuation=error.continuation,
            methods=tuple(map(Method, error.methods)),
            expires_in=error.expires_in,
        )
    return problem


def answer_to(error: Exception, scope: Scope) -> Response:
    """The answer to an error of an endpoint. Its code goes into the access log."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # the client has gone and will not read it
    response = respond(error, scope)
    scope["problem"] = response.code
    return response


def respond(error: Exception, scope: Scope | None = None) -> ErrorResponse:
    """The answer to the request of that scope, in the scope's `error_format`."""
    if not isinstance(error, WatchwordError) or type(error) not in STATUS:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        error = Internal()
    scope = scope or {}
    engine = scope.get("state", {}).get("watchword")
    if engine is not None and isinstance(error, errors.StoreUnavailable):
        engine.health.log_fault(error)
    problem = problem_of(error)
    error_format = scope.get("error_format", ErrorFormat.PROBLEM)
    status, headers = problem.status, {}
    if error_format is ErrorFormat.OAUTH:
        status, fields = _oauth(error, problem)
        body = msgspec.json.encode(fields)
    elif error_format is ErrorFormat.PAGE:
        body, headers = _page(error, problem, scope), HEADERS
    else:
        body = msgspec.json.encode(problem)
    response = ErrorResponse(
        body,
        status,
        headers | error_headers(error, status, scope),
        media_type=error_format.value,
    )
    response.code = problem.code
    return response


def oauth_status(kind: type[WatchwordError]) -> tuple[int, str]:
    """Status and error code of an error at the OAuth endpoints."""
    status = STATUS.get(kind, 500)
    if issubclass(kind, errors.RefreshError):
        return 400, "invalid_grant"
    if issubclass(kind, TryAgain):  # its code is that of RFC 6749 §4.1.2.1
        return status, "temporarily_unavailable"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, "server_error"
    if kind is UnsupportedMediaType:
        status = 400
    return status, kind.code if kind.code in _OAUTH_CODES else "invalid_request"


def _oauth(error: WatchwordError, problem: Problem) -> tuple[int, OAuthError]:
    status, code = oauth_status(type(error))
    text = _GRANT_REFUSED if code == "invalid_grant" else problem.detail
    # RFC 6749 §5.2 does not allow quotes and backslashes.
    text = text.replace('"', "'").replace("\\", "/")
    return status, OAuthError(code, text)


def _page(error: WatchwordError, problem: Problem, scope: Scope) -> bytes:
    engine = scope["state"]["watchword"]
    wait = error.retry_after if isinstance(error, TryAgain) else 0
    view = error_page(problem.code, problem.status, wait, engine.clock())
    view = replace(view, request_id=scope.get(REQUEST_ID, ""))
    settings = engine.settings
    frame = frame_of(Request(scope), settings)
    try:
        html = render(view, frame, settings.templates)
    except Exception:  # noqa: BLE001 - whatever a template of the operator raises
        # What it lacks is known only now, and is often what the error is about.
        _log.exception("the template of the error page")
        html = render(view, frame)
    return html.encode()


def error_headers(error: WatchwordError, status: int, scope: Scope) -> dict[str, str]:
    """The headers of an answer to that error, in whatever format."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, TryAgain):
        headers["retry-after"] = str(max(1, error.retry_after))
    if challenges.is_challenged(error, status):
        headers["www-authenticate"] = _challenge(error, scope)
    if isinstance(error, errors.SecondFactorRequired) and SET_CONTINUATION in scope:
        headers["set-cookie"] = scope[SET_CONTINUATION]
    return headers


def _challenge(error: WatchwordError, scope: Scope) -> str:
    if isinstance(error, errors.InvalidClient):
        return f'Basic realm="{challenges.REALM}"'
    # A wrong password gets no challenge: that would be about tokens.
    if isinstance(error, _OF_SIGN_INS):
        return challenges.by_scheme("Bearer", {})
    if isinstance(error, errors.RefreshError):
        return challenges.by_scheme("Bearer", challenges.error_parameters(error))
    if BEARER_ALONE in scope:
        return challenges.challenge(error, dpop=False)
    return challenges.challenge(
        error,
        scope.get("challenge", "Bearer"),
        metadata=scope.get("state", {}).get("resource_metadata"),
    )


def _raw(status: int, code: str, detail: str) -> bytes:
    """The bytes of a whole answer, for requests that do not reach the application."""
    title = HTTPStatus(status).phrase
    problem = Problem(f"urn:watchword:problem:{code}", title, status, detail, code)
    body = msgspec.json.encode(problem)
    head = (
        f"HTTP/1.1 {status} {title}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        + ("retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else "")
        + "connection: close\r\n\r\n"
    )
    return head.encode() + body


MALFORMED: Final = _raw(400, "invalid_request", "This is not HTTP/1.1.")
HEAD_TOO_LARGE: Final = _raw(
    431, "invalid_request", "What is no body of this request is too large."
)
CODING_UNKNOWN: Final = _raw(
    501, "invalid_request", "There is no transfer coding here but chunked."
)
TOO_MANY: Final = _raw(503, "overloaded", "Too many connections: try again shortly.")
REQUEST_TIMEOUT: Final = _raw(408, "invalid_request", "The request took too long.")
