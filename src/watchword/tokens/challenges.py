"""The answer when an access token is not accepted: status, headers and body.

The challenges are those of RFC 6750 §3, RFC 9449 §7.1 and RFC 9470 §3, and the body is
a problem (RFC 9457). Every server and framework uses this module. It does no I/O and
knows no framework.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from watchword import errors
from watchword.errors import TryAgain, WatchwordError
from watchword.tokens.dpop import DPOP_ALGORITHMS
from watchword.tokens.headers import Scheme

REALM: Final = "watchword"
PROBLEM_JSON: Final = "application/problem+json"
STATUS: Final[dict[type[WatchwordError], int]] = {
    errors.InvalidRequest: 400,
    errors.TokenMissing: 401,
    errors.TokenInvalid: 401,
    errors.TokenExpired: 401,
    errors.TokenRevoked: 401,
    errors.TokenProofInvalid: 401,
    errors.TokenNonceNeeded: 401,
    errors.InsufficientAuthentication: 401,
    errors.InsufficientScope: 403,
    errors.InsufficientRole: 403,
    errors.Overloaded: 503,
    errors.StoreUnavailable: 503,
}
"""The status of each error of a resource server; `server/problems.py` has the rest."""

# Errors that put their own code into the challenge. All others are `invalid_token`.
_NAMED: Final = (
    errors.TokenProofInvalid,
    errors.TokenNonceNeeded,
    errors.InsufficientScope,
    errors.InsufficientAuthentication,
)
_ALGS: Final = " ".join(DPOP_ALGORITHMS)


class Problem(msgspec.Struct, frozen=True):
    """The body of every error (RFC 9457). `code` is stable: programs branch on it."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class Refusal(msgspec.Struct, frozen=True):
    """A whole answer, for any framework. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def problem(error: WatchwordError, status: int) -> Problem:
    """The body for an error."""
    title = HTTPStatus(status).phrase
    kind = f"urn:watchword:problem:{error.code}"
    return Problem(kind, title, status, str(error), error.code)


def refusal(
    error: WatchwordError, scheme: Scheme = "Bearer", *, dpop: bool = False
) -> Refusal:
    """The answer of a resource server to a request that used that scheme.

    `dpop` says whether the server accepts bound tokens. Raises `error` itself where
    STATUS has no row for it: then the framework has to answer.
    """
    status = STATUS.get(type(error))
    if status is None:
        raise error
    headers = {"content-type": PROBLEM_JSON, "cache-control": "no-store"}
    if isinstance(error, TryAgain):
        headers["retry-after"] = str(max(1, error.retry_after))
    if is_challenged(error, status):
        headers["www-authenticate"] = challenge(error, scheme, dpop=dpop)
    if isinstance(error, errors.TokenNonceNeeded):
        headers["dpop-nonce"] = error.nonce
    return Refusal(status, headers, msgspec.json.encode(problem(error, status)))


def is_challenged(error: WatchwordError, status: int) -> bool:
    """Whether the answer has a challenge, because other credentials may help.

    A missing role is not challenged: no other token of the same account has it.
    """
    return status == HTTPStatus.UNAUTHORIZED or isinstance(
        error, errors.InsufficientScope
    )


def challenge(
    error: WatchwordError,
    scheme: Scheme = "Bearer",
    *,
    dpop: bool = True,
    metadata: str | None = None,
) -> str:
    """`WWW-Authenticate` for an error about an access token.

    Names both schemes, with the error under the one that was used (RFC 9449 §7.2).
    `metadata` is the URL at which a client finds the issuer of tokens (RFC 9728 §5.1).
    """
    parameters = _parameters(error)
    where = {} if metadata is None else {"resource_metadata": metadata}
    bearer = by_scheme("Bearer", (parameters if scheme == "Bearer" else {}) | where)
    if not dpop:
        return bearer
    bound = by_scheme(
        "DPoP", (parameters if scheme == "DPoP" else {}) | {"algs": _ALGS}
    )
    return f"{bearer}, {bound}" if scheme == "Bearer" else f"{bound}, {bearer}"


def by_scheme(name: str, parameters: dict[str, str]) -> str:
    """One challenge: the scheme, the realm and these parameters."""
    shown = {"realm": REALM, **parameters}
    return f"{name} " + ", ".join(f'{key}="{text}"' for key, text in shown.items())


def error_parameters(error: WatchwordError) -> dict[str, str]:
    """The parameters `error` and `error_description` of RFC 6750 §3."""
    code = error.code if isinstance(error, _NAMED) else "invalid_token"
    return {"error": code, "error_description": str(error)}


def _parameters(error: WatchwordError) -> dict[str, str]:
    # RFC 6750 §3.1: the challenge to a request without credentials has no error code.
    if isinstance(error, errors.TokenMissing):
        return {}
    parameters = error_parameters(error)
    needed: dict[str, Any] = {}
    if isinstance(error, errors.InsufficientScope):
        needed = {"scope": error.scope or None}
    if isinstance(error, errors.InsufficientAuthentication):
        needed = {"acr_values": error.acr_values, "max_age": error.max_age}
    return parameters | {
        k: str(value) for k, value in needed.items() if value is not None
    }
