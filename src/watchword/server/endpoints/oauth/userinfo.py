"""GET and POST /oauth/userinfo: the claims of a user (OpenID Connect Core §5.3)."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.errors import InvalidRequest
from watchword.oauth.userinfo import UserClaims
from watchword.server.operation import Operation
from watchword.server.parsing import (
    FORM,
    engine_of,
    is_form,
    oauth_of,
    one_header,
    read_form,
)
from watchword.server.problems import PayloadTooLarge
from watchword.server.responses import JSON
from watchword.server.token_auth import ACCESS_ERRORS, authenticate

_PATH = "/oauth/userinfo"
_ERRORS = (*ACCESS_ERRORS, errors.InsufficientScope, errors.NotFound)


class UserInfoForm(msgspec.Struct, frozen=True):
    """The token of a request without the header Authorization (RFC 6750 §2.2)."""

    access_token: str | msgspec.UnsetType = msgspec.UNSET


async def show(request: Request) -> Response:
    userinfo = oauth_of(request).userinfo
    return JSON(await userinfo.of(await authenticate(request)))


SHOW = Operation(
    method="GET",
    path=_PATH,
    handler=show,
    needs_accounts=True,
    summary="The claims of the user",
    description=(
        "By the scopes of the access token, which needs `openid` and has to be for "
        "this server's own audience: a token for another `resource` is refused. A "
        "token that is bound to a key needs its proof."
    ),
    tag="oauth",
    response=UserClaims,
    bearer=True,
    dpop=True,
    errors=_ERRORS,
)


async def show_posted(request: Request) -> Response:
    userinfo = oauth_of(request).userinfo
    form = await read_form(request) if is_form(request) else None
    token = None if form is None else form.get("access_token")
    if token is None:
        return JSON(await userinfo.of(await authenticate(request)))
    if one_header(request, b"authorization") is not None:
        # RFC 6750 §2: by one of the methods, not by two.
        raise InvalidRequest("The access token came twice.")
    return JSON(await userinfo.of(engine_of(request).checker.verify(token)))


POSTED = Operation(
    method="POST",
    path=_PATH,
    handler=show_posted,
    needs_accounts=True,
    summary="The same by POST",
    description=(
        "A form may have the access token, in place of the header (RFC 6750 §2.2)."
    ),
    tag="oauth",
    request=UserInfoForm,
    request_required=False,
    request_media_type=FORM,
    response=UserClaims,
    bearer=True,
    dpop=True,
    errors=(*_ERRORS, PayloadTooLarge),
)
