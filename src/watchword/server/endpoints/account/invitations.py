"""POST /invitations/accept: the account of an invitation, or its roles."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.beginning import (
    FIRST_FACTOR_ERRORS,
    SessionFields,
    SessionRequest,
)
from watchword.server.endpoints.account.fields import NameField, TokenField
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    client_address,
    parse_json,
    read_body,
    self_service_of,
)
from watchword.server.responses import Tokens


class AcceptInvitation(SessionFields, frozen=True):
    """The token, a password, and how the session shall be: as of a login.

    Where the address has an account, `password` is that of the account.
    """

    token: TokenField
    password: str
    username: NameField | None = None


_BODY = msgspec.json.Decoder(AcceptInvitation)


async def accept(request: Request) -> Response:
    service = self_service_of(request)
    service.rules.need_invitations()
    body = parse_json(request, await read_body(request), _BODY)
    session = await SessionRequest.of(request, body)
    authenticated = await service.invitations.accept(
        body.token,
        body.password,
        username=body.username,
        address=client_address(request),
    )
    return await session.begin(authenticated, mailbox=True)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/invitations/accept",
    handler=accept,
    needs_accounts=True,
    tag="account",
    summary="Accept an invitation, and sign in",
    description=(
        "Makes an account of the invitation's address, with its roles. An account that "
        "the address has already gets the roles, and keeps its password. 404 where "
        "WATCHWORD_REGISTRATION is `closed`."
    ),
    request=AcceptInvitation,
    example={"token": "ww_cf_…", "password": "four words make a phrase"},
    response=Tokens,
    status=201,
    dpop=True,
    client=True,
    errors=(
        *FIRST_FACTOR_ERRORS,
        errors.ConfirmationInvalid,
        errors.NotFound,
        errors.NameInvalid,
        errors.NameTaken,
        errors.EmailTaken,
        errors.PasswordRejected,
    ),
)
