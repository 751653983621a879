"""GET /forward: a reverse proxy asks whether a request may pass, and of which user.

Each answer that lets a request pass has all of the headers, empty rather than absent: a
proxy that copies them keeps what the client sent under a name that is not there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.access_token import Claims
from watchword.errors import InvalidRequest, TokenInvalid
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of
from watchword.server.problems import BEARER_ALONE
from watchword.tokens.headers import token_in

_FIELDS_MAX: Final = 32
_USUAL: Final = 256  # the longest query that is cached, in bytes
_SECONDS: Final = re.compile("[0-9]{1,9}", re.ASCII)
# What roles and scopes are made of: the challenge repeats it.
_WORD: Final = r"[!#-\[\]-~]+"
_WORDS: Final = re.compile(f"{_WORD}(?: {_WORD})*", re.ASCII)
_BOUND: Final = (
    "A token that is bound to a key is not accepted here: its proof is for another URL."
)


class Needs(msgspec.Struct, frozen=True):
    """What the proxy demands besides a good token, from its query."""

    roles: tuple[str, ...]
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    max_age: int | None


async def forward(request: Request) -> Response:
    request.scope[BEARER_ALONE] = True
    engine, needs = engine_of(request), _needs(request.scope["query_string"])
    audience = needs.audience or (engine.settings.audience,)
    try:
        shown = token_in(request.scope["headers"])
    except InvalidRequest as error:
        # Not a 400: to a proxy that would be a fault of this server.
        raise TokenInvalid(str(error)) from None
    if shown.scheme != "Bearer":
        raise TokenInvalid(_BOUND)
    claims = engine.checker.verify_for(shown.token, audience)
    if claims.cnf is not None:
        raise TokenInvalid(_BOUND)
    if not set(audience).issubset(_audience_of(claims)):
        raise TokenInvalid
    engine.checker.require(
        claims, scope=needs.scope, roles=needs.roles, max_age=needs.max_age
    )
    return Response(
        headers={
            "x-auth-subject": claims.sub,
            "x-auth-roles": " ".join(claims.roles),
            "x-auth-session": claims.sid or "",
            "x-auth-scope": claims.scope or "",
            "cache-control": "no-store",
        }
    )


def _audience_of(claims: Claims) -> tuple[str, ...]:
    return (claims.aud,) if isinstance(claims.aud, str) else claims.aud


def _needs(query: bytes) -> Needs:
    # A proxy asks the same all the time.
    return _read_usual(query) if len(query) <= _USUAL else _read(query)


def _read(query: bytes) -> Needs:
    """What a query demands. Raises InvalidRequest for whatever it does not know.

    The query is the operator's. If a mistyped demand were ignored, as elsewhere,
    nothing would be demanded.
    """
    found: dict[str, list[str]] = {"role": [], "scope": [], "audience": []}
    ages: list[int] = []
    for name, value in _pairs(query):
        words = value.split(" ") if _WORDS.fullmatch(value) else []
        if name == "max_age" and not ages and _SECONDS.fullmatch(value):
            ages.append(int(value))
        elif name in found and words:
            found[name] += words
        else:
            raise InvalidRequest(f"This is no demand: {name[:20]!a}={value[:60]!a}.")
    roles, scope, audience = (tuple(dict.fromkeys(one)) for one in found.values())
    return Needs(roles, scope, audience, ages[0] if ages else None)


_read_usual: Final = lru_cache(maxsize=64)(_read)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError:
        raise InvalidRequest("The query is not a list of demands in UTF-8.") from None


_ALL: Final = "All of them are needed, repeated or separated by blanks."

OPERATION = Operation(
    method="GET",
    path=f"{BASE}/forward",
    handler=forward,
    is_hot=True,
    is_embedded=False,
    summary="May this request pass?",
    description=(
        "For reverse proxies, which ask before they pass a request on. 200 has the "
        "headers `X-Auth-Subject`, `X-Auth-Roles` and `X-Auth-Scope` (separated by "
        "blanks) and `X-Auth-Session`: each of them always, and empty where there is "
        "nothing to say. 403 without a role or a scope that the query demands; 401 "
        "for every other token that is not good enough, also one that is bound to a "
        "key (DPoP). A query that demands anything else is a 400."
    ),
    query={
        "role": Annotated[str, msgspec.Meta(description=f"Roles. {_ALL}")],
        "scope": Annotated[str, msgspec.Meta(description=f"Scopes. {_ALL}")],
        "audience": Annotated[
            str,
            msgspec.Meta(
                description=f"What the token has to be for. {_ALL} This server's own "
                "audience where it is left out."
            ),
        ],
        "max_age": Annotated[
            int,
            msgspec.Meta(
                description="Seconds since the user's latest proof, at most.",
                ge=0,
                le=999_999_999,
            ),
        ],
    },
    headers={
        "X-Auth-Subject": "The id of the account, or of a client by its own token.",
        "X-Auth-Roles": "Its roles, separated by blanks.",
        "X-Auth-Session": "The id of the session.",
        "X-Auth-Scope": "The scopes, separated by blanks.",
    },
    bearer=True,
    errors=(
        errors.InvalidRequest,
        errors.TokenMissing,
        errors.TokenInvalid,
        errors.TokenExpired,
        errors.TokenRevoked,
        errors.InsufficientAuthentication,
        errors.InsufficientScope,
        errors.InsufficientRole,
        errors.StoreUnavailable,
    ),
)
