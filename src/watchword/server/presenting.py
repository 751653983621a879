"""What every call shares that rotates a session: the token that came, and the answer.

A refresh token comes in the body or in the session's cookie, with an `Idempotency-Key`
for the case that the answer gets lost, and with a DPoP proof if the session is bound.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.session import TokenSet
from watchword.errors import InvalidRequest
from watchword.ports.clients import Client
from watchword.server.client_auth import proof_of
from watchword.server.cookies import is_by_cookie, set_cookie, token_in_cookie
from watchword.server.parsing import client_address, retry_key
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.server.responses import JSON, Tokens, tokens_of
from watchword.sign_in.step_up import PresentedSession

ROTATION_ERRORS = (
    errors.InvalidRequest,
    errors.RetryKeyReused,
    errors.InvalidProof,
    errors.NonceNeeded,
    errors.CsrfRejected,
    errors.RefreshInvalid,
    errors.RefreshReused,
    errors.SessionExpired,
    errors.SessionRevoked,
    PayloadTooLarge,
    UnsupportedMediaType,
    errors.Throttled,
    errors.Overloaded,
    errors.StoreUnavailable,
)
"""What every call raises that rotates a session."""


def token_of_cookie(request: Request) -> str:
    """The refresh token of the session's cookie.

    A page that says it uses the cookie and has none is signed out: it gets "", which is
    no token of any session. Raises InvalidRequest for every other request without it;
    CsrfRejected.
    """
    token = token_in_cookie(request) or ""
    if not token and not is_by_cookie(request):
        raise InvalidRequest("Send the refresh token, or the session's cookie.")
    return token


def token_in(request: Request, sent: str | None) -> tuple[str, bool]:
    """The refresh token, and whether it came in the cookie: where none was sent.

    Raises as `token_of_cookie`.
    """
    return (token_of_cookie(request), True) if sent is None else (sent, False)


def presented(request: Request, client: Client, *, cookie: bool) -> PresentedSession:
    """How the refresh token of that client came. Raises InvalidRequest, InvalidProof.

    `cookie` says that it came in the cookie.
    """
    return {
        "client_id": client.id,
        "retry_key": retry_key(request),
        "address": client_address(request),
        "cookie": cookie,
        "proof": proof_of(request, client),
    }


def rotated(
    tokens: TokenSet,
    token: str,
    *,
    cookie: bool,
    shown: Tokens | None = None,
    status: int = 200,
) -> Response:
    """The answer with what followed that refresh token.

    `shown` is the body where it says more than the tokens.
    """
    headers = []
    # If the token stays current, the browser has it already. Set again by an answer
    # that arrives late, it could replace a newer one.
    if cookie and tokens.refresh_token != token:
        headers.append((b"set-cookie", set_cookie(tokens).encode()))
    return JSON(shown or tokens_of(tokens), status, headers)
