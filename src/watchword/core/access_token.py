"""The claims of an access token (RFC 9068): made from a session, checked when read.

Signatures are not here: `keys.py` signs and `verify/` verifies. Times in claims are
whole seconds (RFC 7519 §2, NumericDate); `now` is milliseconds as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from watchword.core import limits
from watchword.core.session import Policy, Session, as_text
from watchword.errors import TokenExpired, TokenInvalid

TYPE: Final = "at+jwt"
RESERVED: Final = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
        *("client_id", "auth_time", "sid", "scope", "roles", "cnf", "acr", "amr"),
    }
)
"""Claims that a claims hook may not set: they say who and for how long."""


_YEAR_10000: Final = 253_402_300_800


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload, in the names of RFC 9068 §2.2."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: int
    iat: int
    jti: str
    client_id: str
    auth_time: int
    sid: str
    nbf: int | None = None
    scope: str | None = None
    roles: tuple[str, ...] = ()


def claims_of(
    session: Session,
    policy: Policy,
    *,
    issuer: str,
    audience: str,
    jti: str,
    now: int,
) -> Claims:
    """The claims of an access token issued now: it never outlives its session."""
    issued = now // 1000
    life = session.access_ttl // 1000
    return Claims(
        iss=issuer,
        sub=as_text(session.account_id),
        aud=audience,
        exp=min(issued + life, session.ends_at(policy) // 1000),
        iat=issued,
        jti=jti,
        client_id=session.client_id,
        auth_time=session.authenticated_at // 1000,
        sid=as_text(session.id),
        roles=session.roles,
    )


def check_claims(
    payload: Mapping[str, Any], issuer: str, audience: str, now: int
) -> Claims:
    """The claims, typed, if they are of this issuer, for this audience, and in time.

    Raises TokenInvalid, or TokenExpired where nothing else is wrong. No leeway: the
    clock is the issuer's own, or the caller's to add.
    """
    claims = read_claims(payload, issuer, audience, now)
    if now // 1000 >= claims.exp:
        raise TokenExpired
    return claims


def read_claims(
    payload: Mapping[str, Any], issuer: str, audience: str, now: int
) -> Claims:
    """The same, expired or not: to end a session any of its tokens is good enough.

    Raises TokenInvalid.
    """
    try:
        claims = msgspec.convert(payload, Claims, strict=True)
    except msgspec.ValidationError:
        raise TokenInvalid from None
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if claims.iss != issuer or audience not in audiences:
        raise TokenInvalid
    if not (claims.sub and claims.jti and claims.client_id and claims.sid):
        raise TokenInvalid
    if not _is_date(claims.iat) or not _is_date(claims.exp):
        raise TokenInvalid
    if claims.exp - claims.iat > limits.ACCESS_TTL_MAX // 1000:
        raise TokenInvalid
    seconds = now // 1000  # whole, as the dates are; a float would overflow
    if claims.iat > seconds or (claims.nbf is not None and claims.nbf > seconds):
        raise TokenInvalid
    return claims


def _is_date(value: int) -> bool:
    return 0 < value < _YEAR_10000
