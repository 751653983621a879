"""GET /consents and DELETE /consents/{clientId}: what a user has allowed to clients."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import is_client_id
from watchword.errors import NotFound
from watchword.ports.consents import Consent
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import by_user, engine_of, oauth_of
from watchword.server.responses import JSON, done, utc
from watchword.server.token_auth import OWNER_ERRORS, authenticate_owner
from watchword.server.waiting import name_of


class AllowedClient(msgspec.Struct, frozen=True, rename="camel"):
    """What the user lets a client have, since when, and allowed again when (UTC).

    `name` is what users are shown of the client.
    """

    client_id: str
    name: str
    scope: str
    resources: tuple[str, ...]
    allowed_at: datetime
    last_used_at: datetime


class AllowedClients(msgspec.Struct, frozen=True):
    """In order of client id."""

    consents: list[AllowedClient]


async def list_consents(request: Request) -> Response:
    consents = oauth_of(request).consents
    account_id, _ = await authenticate_owner(request)
    rows = await consents.of_account(account_id)
    return JSON(AllowedClients([await _shown(request, row) for row in rows]))


LIST = Operation(
    method="GET",
    path=f"{BASE}/consents",
    handler=list_consents,
    summary="What I let clients have",
    description=(
        "Clients that the user was asked about; one that is trusted is not among them."
    ),
    tag="account",
    response=AllowedClients,
    bearer=True,
    needs_bearer=True,
    needs_accounts=True,
    errors=OWNER_ERRORS,
)


async def show(request: Request) -> Response:
    consents = oauth_of(request).consents
    account_id, _ = await authenticate_owner(request)
    client_id = request.path_params["clientId"]
    for row in await consents.of_account(account_id):
        if row.client_id == client_id:
            return JSON(await _shown(request, row))
    raise NotFound


SHOW = Operation(
    method="GET",
    path=f"{BASE}/consents/{{clientId}}",
    handler=show,
    summary="What I let one client have",
    tag="account",
    response=AllowedClient,
    bearer=True,
    needs_bearer=True,
    needs_accounts=True,
    errors=OWNER_ERRORS,
)


async def withdraw(request: Request) -> Response:
    consents = oauth_of(request).consents
    account_id, _ = await authenticate_owner(request)
    client_id = request.path_params["clientId"]
    if not is_client_id(client_id):
        raise NotFound
    await consents.withdraw(account_id, client_id, by=by_user(request))
    return done()


# It needs no recent proof, as the end of a session needs none: so that a client which
# went wrong can be shut out at once.
WITHDRAW = Operation(
    method="DELETE",
    path=f"{BASE}/consents/{{clientId}}",
    handler=withdraw,
    summary="Let a client have nothing any more",
    description=(
        "Ends the sessions that the client has of this user. It has to ask again."
    ),
    tag="account",
    status=204,
    bearer=True,
    needs_bearer=True,
    needs_accounts=True,
    errors=OWNER_ERRORS,
)


async def _shown(request: Request, row: Consent) -> AllowedClient:
    try:
        client = await engine_of(request).clients.get(row.client_id)
    except NotFound:  # no client is ever deleted, but rows may be restored apart
        name = row.client_id
    else:
        name = name_of(client)
    return AllowedClient(
        client_id=row.client_id,
        name=name,
        scope=" ".join(row.scope),
        resources=row.resource,
        allowed_at=utc(row.created_at),
        last_used_at=utc(row.used_at),
    )
