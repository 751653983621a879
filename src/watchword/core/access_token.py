"""The claims of an access token (RFC 9068): made from a session, checked when read.

Signatures are not here: `keys/` signs and `tokens/` verifies. Times in claims are
whole seconds (RFC 7519 §2, NumericDate); `now` is milliseconds as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from watchword.core import limits
from watchword.core.policies import FIRST_PARTY_ID
from watchword.core.scopes import ROLES
from watchword.core.session import Policy, RequestedToken, Session, as_text
from watchword.errors import TokenExpired, TokenInvalid

TYPE: Final = "at+jwt"
RESERVED: Final = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
        *("client_id", "auth_time", "sid", "scope", "roles", "cnf", "acr", "amr"),
    }
)
"""Claims that a claims hook may not set.

Watchword alone says of which user a token is, and for how long, for which API and with
which rights it is good.
"""

_YEAR_10000: Final = 253_402_300_800


class Confirmation(msgspec.Struct, frozen=True):
    """The key that must be proved beside the token (RFC 9449 §6.1)."""

    jkt: str


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload, in the names of RFC 9068 §2.2.

    A user's token has a session (`sid`) and an `auth_time`. A client's own token has
    neither, and its `sub` is its `client_id`; no user's `sub` can be a client's id.
    """

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: int
    iat: int
    jti: str
    client_id: str
    auth_time: int | None = None
    sid: str | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    cnf: Confirmation | None = None
    nbf: int | None = None
    scope: str | None = None
    roles: tuple[str, ...] = ()
    extra: dict[str, Any] = {}
    """What an app's claims hook added. In the token these stand beside the others."""


def claims_of(
    session: Session,
    policy: Policy,
    requested: RequestedToken,
    *,
    issuer: str,
    jti: str,
    now: int,
) -> Claims:
    """The claims of an access token issued now. It never outlives its session.

    It has the user's roles where it is the user's own app's, or where its scope has
    `roles`: an app that acts for an admin is no admin.

    Nothing is checked here: `judge` has already refused a request for more scope or
    resources than the session has. `now` is in milliseconds.
    """
    issued = now // 1000
    life = session.access_ttl // 1000
    scope = session.scope if requested.scope is None else requested.scope
    audience = requested.resources or session.audience or (policy.audience,)
    jkt = requested.jkt or session.jkt
    has_roles = session.client_id == FIRST_PARTY_ID or ROLES in scope
    return Claims(
        iss=issuer,
        sub=as_text(session.account_id),
        aud=audience[0] if len(audience) == 1 else audience,
        exp=min(issued + life, session.ends_at(policy) // 1000),
        iat=issued,
        jti=jti,
        client_id=session.client_id,
        auth_time=session.auth_time // 1000,
        sid=as_text(session.id),
        acr=session.acr,
        amr=session.amr,
        cnf=None if jkt is None else Confirmation(jkt),
        scope=" ".join(scope) or None,
        roles=session.roles if has_roles else (),
    )


def client_claims(
    client_id: str,
    requested: RequestedToken,
    *,
    issuer: str,
    audience: tuple[str, ...],
    life: int,
    jti: str,
    now: int,
) -> Claims:
    """The claims of a client's own access token (RFC 6749 §4.4), good for `life` ms."""
    issued = now // 1000
    aud = requested.resources or audience
    return Claims(
        iss=issuer,
        sub=client_id,
        aud=aud[0] if len(aud) == 1 else aud,
        exp=issued + life // 1000,
        iat=issued,
        jti=jti,
        client_id=client_id,
        cnf=None if requested.jkt is None else Confirmation(requested.jkt),
        scope=" ".join(requested.scope or ()) or None,
    )


def check_claims(claims: Claims, audiences: Collection[str], now: int) -> None:
    """Raises TokenInvalid unless they are for one of these audiences and have begun.

    Raises TokenExpired from `exp` on, without leeway. The clock of the server that
    signed the token may be up to CLOCK_SKEW ahead of `now` (milliseconds).
    """
    named = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    # Compared as sets: with `in`, an audience given as one string would match each of
    # its substrings.
    if set(audiences).isdisjoint(named):
        raise TokenInvalid
    # Whole seconds, as the claims are. A float would lose digits or overflow.
    seconds = now // 1000
    if claims.iat > seconds + limits.CLOCK_SKEW // limits.SECOND:
        raise TokenInvalid
    if claims.nbf is not None and claims.nbf > seconds:
        raise TokenInvalid
    if seconds >= claims.exp:
        raise TokenExpired


def read_claims(payload: Mapping[str, Any], issuer: str) -> Claims:
    """The claims, typed. Raises TokenInvalid unless this issuer can have made them.

    Audience and dates are left to `check_claims`, because a logout does not look at
    them: any token of a session, expired or not, is enough to end it.
    """
    extra = {name: payload[name] for name in payload if name not in RESERVED}
    if extra:
        payload = {name: payload[name] for name in payload if name in RESERVED}
    try:
        claims = msgspec.convert(payload, Claims, strict=True)
    except msgspec.ValidationError:
        raise TokenInvalid from None
    if claims.iss != issuer:
        raise TokenInvalid
    if not (claims.sub and claims.jti and claims.client_id and claims.aud):
        raise TokenInvalid
    if not (_of_user(claims) or _of_client(claims)):
        raise TokenInvalid
    dates = (claims.iat, claims.exp, claims.iat if claims.nbf is None else claims.nbf)
    if not all(map(_is_date, dates)):
        raise TokenInvalid
    if claims.exp - claims.iat > limits.ACCESS_TTL_MAX // 1000:
        raise TokenInvalid
    return msgspec.structs.replace(claims, extra=extra) if extra else claims


def _of_user(claims: Claims) -> bool:
    return bool(claims.sid) and claims.auth_time is not None


def _of_client(claims: Claims) -> bool:
    personal = (claims.sid, claims.auth_time, claims.acr)
    return claims.sub == claims.client_id and personal == (None, None, None)


def _is_date(value: int) -> bool:
    return 0 < value < _YEAR_10000
