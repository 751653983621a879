"""The access token of a request: by the scheme Bearer, or by DPoP with a proof."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core import limits
from watchword.core.access_token import Claims
from watchword.core.session import AAL1, from_text
from watchword.errors import InsufficientScope, TokenInvalid
from watchword.server.parsing import engine_of
from watchword.tokens.headers import credentials_in, scheme_of, token_in, url_of

ACCESS_ERRORS: Final = (
    errors.InvalidRequest,
    errors.TokenMissing,
    errors.TokenInvalid,
    errors.TokenExpired,
    errors.TokenRevoked,
    errors.TokenProofInvalid,
    errors.TokenNonceNeeded,
    errors.Overloaded,
    errors.StoreUnavailable,
)
"""What `authenticate` raises."""

OWNER_ERRORS: Final = (
    *ACCESS_ERRORS,
    errors.InsufficientScope,
    errors.NotFound,
)
"""What a call raises that `authenticate_owner` guards."""

RECENT_ERRORS: Final = (*OWNER_ERRORS, errors.InsufficientAuthentication)
"""What a call raises that `recent` or `authenticate_strong` guards."""

RECENT: Final = limits.RECENT // limits.SECOND
"""How old the latest proof of the user may be (s), for a step that a thief would take.
"""

NEEDS_RECENT: Final = (
    f"It needs a proof of the last {RECENT} seconds, by a second factor where the user "
    "has one: see /step-up."
)
"""What the document says of a call that `recent` guards."""


def access_token(request: Request) -> str | None:
    """The access token of either scheme, for calls that do not check its proof.

    Raises InvalidRequest for a malformed header.
    """
    headers = request.scope["headers"]
    return credentials_in(headers, "Bearer") or credentials_in(headers, "DPoP")


async def authenticate(request: Request) -> Claims:
    """The claims of the request's access token. Raises AccessTokenError.

    It comes by the scheme Bearer, or by DPoP with a proof for this very request (RFC
    9449 §7).
    """
    scope, engine = request.scope, engine_of(request)
    scope["challenge"] = scheme_of(scope["headers"])
    if scope["challenge"] == "DPoP":
        scope["nonces"] = engine.resource_proofs.nonces
    shown = token_in(scope["headers"])
    if shown.scheme == "Bearer":
        return engine.checker.verify(shown.token)
    return await engine.checker.verify_bound(
        shown.token,
        shown.proof,
        method=scope["method"],
        url=url_of(engine.issuer, scope["path"]),
    )


async def authenticate_owner(request: Request) -> tuple[bytes, str]:
    """Account id and session (`sid`) of a token that may see what is the user's own.

    That is a token of first-party alone: no scope lets another client do it, or else
    any program that a user signs in with could sign the user out everywhere. Raises
    AccessTokenError, also for a client's own token; InsufficientScope.
    """
    account_id, claims = await _owner(request)
    return account_id, claims.sid or ""


async def authenticate_strong(
    request: Request, *, max_age: int | None = None
) -> tuple[bytes, str, Claims]:
    """As `authenticate_owner`, where the user has proved all that it can.

    A user with a second factor must have proved one. `max_age` is in seconds since the
    latest proof. With id and session come the claims. Raises as `authenticate_owner`;
    InsufficientAuthentication, StoreUnavailable.
    """
    account_id, claims = await _owner(request)
    engine = engine_of(request)
    highest = (await engine.second_factors.factors.of(account_id)).acr
    engine.checker.require(
        claims, max_age=max_age, acr_values=() if highest == AAL1 else (highest,)
    )
    return account_id, claims.sid or "", claims


async def recent(request: Request) -> tuple[bytes, str, Claims]:
    """As `authenticate_strong`, where that was in the last RECENT seconds.

    For every step that a thief of a token would take: of factors, address and account.
    """
    return await authenticate_strong(request, max_age=RECENT)


async def _owner(request: Request) -> tuple[bytes, Claims]:
    claims = await authenticate(request)
    account_id = from_text(claims.sub)
    if account_id is None or claims.sid is None:
        raise TokenInvalid
    if claims.client_id != FIRST_PARTY.id:
        message = f"Only tokens of the client {FIRST_PARTY.id} are accepted here."
        raise InsufficientScope("", message)
    return account_id, claims
