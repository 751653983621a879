"""Callers of the admin API: users with the admin role, and clients with a right.

A call is refused for the first of these that is missing: a good token, the role or
right, a second factor, a recent proof, the version in If-Match, a good body.
"""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request

from watchword import errors
from watchword.admin.operators import Operator
from watchword.bootstrap.admin import AdminParts
from watchword.clients.rules import FIRST_PARTY, Right
from watchword.core import limits
from watchword.core.access_token import Claims
from watchword.core.actor import Actor, By
from watchword.core.session import AAL1, from_text
from watchword.errors import (
    InsufficientRole,
    InvalidRequest,
    NotFound,
    VersionRequired,
)
from watchword.server.operation import ADMIN_BASE, Handler, Operation
from watchword.server.parsing import client_address, engine_of, one_header
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.server.responses import Versioned
from watchword.server.token_auth import ACCESS_ERRORS, authenticate

READ_ERRORS: Final = (
    *ACCESS_ERRORS,
    errors.InsufficientRole,
    errors.InsufficientAuthentication,
)
"""What a call raises that `reader` guards."""

WRITE_ERRORS: Final = (*READ_ERRORS, errors.NotFound)
"""What a call raises that `writer` guards."""

_BODY_ERRORS: Final = (PayloadTooLarge, UnsupportedMediaType)
_ETAG: Final = {"ETag": "Its version in quotes, for `If-Match`."}
_VERSION_ERRORS: Final = (errors.VersionRequired, errors.VersionChanged)

_READERS: Final = frozenset({Right.ADMIN_READ, Right.ADMIN_WRITE})
_WRITERS: Final = frozenset({Right.ADMIN_WRITE})
_RECENT: Final = limits.ADMIN_RECENT // limits.SECOND
_VERSION: Final = re.compile(rb'"(0|[1-9][0-9]{0,17})"')


def shows(path: str, handler: Handler, **fields: Any) -> Operation:  # noqa: ANN401
    """GET of a path below /api/admin. The handler calls `reader` first of all."""
    raised = (*READ_ERRORS, *fields.pop("errors", ()))
    return _operation("GET", path, handler, raised, fields)


def changes(
    method: str,
    path: str,
    handler: Handler,
    **fields: Any,  # noqa: ANN401 - those of Operation
) -> Operation:
    """A call that changes something below /api/admin.

    The handler calls `writer` first of all. With `is_versioned`, `version_of` is next.
    """
    raised = (*WRITE_ERRORS, *fields.pop("errors", ()))
    if fields.get("is_versioned"):
        raised += _VERSION_ERRORS
    if "request" in fields:
        raised += _BODY_ERRORS
    return _operation(method, path, handler, raised, fields)


def _operation(
    method: str,
    path: str,
    handler: Handler,
    raised: tuple[type[errors.WatchwordError], ...],
    fields: dict[str, Any],
) -> Operation:
    response = fields.get("response")
    is_one = response is not None and issubclass(response, Versioned)
    return Operation(
        method=method,
        path=ADMIN_BASE + path,
        handler=handler,
        headers=_ETAG if is_one else {},
        needs_accounts=True,
        tag="admin",
        bearer=True,
        needs_bearer=True,
        errors=tuple(dict.fromkeys(raised)),
        **fields,
    )


def admin_of(request: Request) -> AdminParts:
    """The engine of the admin API. Raises NotFound in an app with own users."""
    found = engine_of(request).admin
    if found is None:
        raise NotFound
    return found


async def reader(request: Request) -> Operator:
    """The caller of a call that shows something.

    A user with the role of WATCHWORD_ADMIN_ROLE, as the account has it now, whose token
    is of first-party, with a second factor proved where the account has one; or a
    client by a token of its own, with the right `admin:read` or `admin:write`. Raises
    AccessTokenError, InsufficientRole, InsufficientAuthentication, StoreUnavailable.
    """
    return await _operator(request, _READERS, max_age=None)


async def writer(request: Request) -> Operator:
    """The caller of a call that changes something.

    As `reader`, with a proof of the last ADMIN_RECENT or the right `admin:write`.
    """
    return await _operator(request, _WRITERS, max_age=_RECENT)


async def _operator(
    request: Request, rights: frozenset[Right], *, max_age: int | None
) -> Operator:
    claims = await authenticate(request)
    address = client_address(request)
    if claims.sid is None:
        await _need_right(request, claims.client_id, rights)
        return Operator(By(Actor.CLIENT, address, claims.client_id), None)
    account_id = await _need_role(request, claims)
    engine = engine_of(request)
    highest = (await engine.second_factors.factors.of(account_id)).acr
    engine.checker.require(
        claims, max_age=max_age, acr_values=() if highest == AAL1 else (highest,)
    )
    return Operator(By(Actor.ADMIN, address, claims.sub), account_id)


async def _need_right(
    request: Request, client_id: str, rights: frozenset[Right]
) -> None:
    """Raises InsufficientRole unless the client has one of the rights now."""
    client = await engine_of(request).client_authentication.current(client_id)
    if client is None or client.disabled or rights.isdisjoint(client.rights):
        raise InsufficientRole("The client lacks a right that is needed here.")


async def _need_role(request: Request, claims: Claims) -> bytes:
    """The id of a user that has the admin role now. Raises InsufficientRole.

    The account is asked, because a token has the roles of when it was made.
    """
    engine = engine_of(request)
    if claims.client_id != FIRST_PARTY.id:
        message = f"Of users only tokens of the client {FIRST_PARTY.id} are accepted."
        raise InsufficientRole(message)
    account_id = from_text(claims.sub)
    account = account_id and await engine.stores.accounts.by_id(account_id)
    if (
        not account
        or account.disabled
        or engine.settings.admin_role not in account.roles
    ):
        raise InsufficientRole
    return account.id


def version_of(request: Request) -> int | None:
    """The version in If-Match: the one that the caller saw (RFC 9110 §13.1.1).

    None stands for any version (`*`). Raises VersionRequired where there is none,
    InvalidRequest for what is no version.
    """
    given = one_header(request, b"if-match")
    if given is None:
        raise VersionRequired
    if given == b"*":
        return None
    found = _VERSION.fullmatch(given)
    if found is None:
        raise InvalidRequest('If-Match is a version in quotes, such as "3", or *.')
    return int(found[1])
