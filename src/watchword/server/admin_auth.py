"""Who may call the admin API: a user with the admin role, or a client with a right."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from watchword import errors
from watchword.admin.operators import Operator
from watchword.server.token_auth import ACCESS_ERRORS

READ_ERRORS: Final = (
    *ACCESS_ERRORS,
    errors.InsufficientRole,
    errors.InsufficientAuthentication,
)
"""What a call raises that `reader` guards."""

WRITE_ERRORS: Final = (*READ_ERRORS, errors.NotFound)
"""What a call raises that `writer` guards."""


async def reader(request: Request) -> Operator:
    """The caller of a call that shows something.

    A user with the role of WATCHWORD_ADMIN_ROLE, as the account has it now, whose token
    is of first-party, with a second factor proved where the account has one; or a
    client by a token of its own, with the right `admin:read` or `admin:write`. Raises
    AccessTokenError, InsufficientRole, InsufficientAuthentication, StoreUnavailable.
    """
    raise NotImplementedError


async def writer(request: Request) -> Operator:
    """The caller of a call that changes something.

    As `reader`, with a proof of the last ADMIN_RECENT or the right `admin:write`.
    """
    raise NotImplementedError


def version_of(request: Request) -> int:
    """The version in If-Match: the one that the caller saw (RFC 9110 §13.1.1).

    Raises VersionRequired where there is none, InvalidRequest for what is no version.
    """
    raise NotImplementedError
