"""The calls of /api/admin/clients: list, show, add, change, disable, enable."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.limits import CLIENT_ID_MAX
from watchword.server.admin_auth import (
    admin_of,
    changes,
    reader,
    shows,
    version_of,
    writer,
)
from watchword.server.endpoints.admin.client_fields import (
    AddClient,
    ChangeClient,
    ClientSecret,
    ClientView,
    DisabledClient,
    NewClientView,
    fields_of,
    given_in,
    view,
)
from watchword.server.endpoints.admin.fields import NEXT, PAGE, page_query
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, versioned

_ONE: Final = "/clients/{clientId}"
_REACH: Final = "A client cannot change one that has a right to administer."
_ADD: Final = msgspec.json.Decoder(AddClient)
_CHANGE: Final = msgspec.json.Decoder(ChangeClient)
_Q = Annotated[
    str,
    msgspec.Meta(
        title="q", description="What the id begins with.", max_length=CLIENT_ID_MAX
    ),
]


class ClientList(msgspec.Struct, frozen=True):
    """A page of clients, in order of id, without those that are built in."""

    items: list[ClientView]
    next: str | None


async def list_clients(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).clients.list(
        q=query.fields.get("q", ""), after=query.after, limit=query.limit
    )
    return JSON(ClientList(list(map(view, page.items)), page.next))


LIST = shows(
    "/clients",
    list_clients,
    summary="Clients",
    description=NEXT,
    query={"q": _Q, **PAGE},
    response=ClientList,
)


async def add(request: Request) -> Response:
    operator = await writer(request)
    given = given_in(parse_json(request, await read_body(request), _ADD))
    client, secret = await admin_of(request).clients.create(operator, **given)
    content = NewClientView(**fields_of(client), client_secret=secret)
    return versioned(content, 201)


ADD = changes(
    "POST",
    "/clients",
    add,
    summary="Add a client",
    description=(
        "A confidential one gets a secret, which is shown only now. A client can give "
        "no rights."
    ),
    request=AddClient,
    example={
        "clientId": "berth-planner",
        "name": "Berth Planner",
        "confidential": True,
        "redirectUris": ["https://berths.example/return"],
        "scope": ["berths:read"],
    },
    response=NewClientView,
    status=201,
    errors=(errors.NameTaken,),
)


async def show(request: Request) -> Response:
    await reader(request)
    return await _shown(request)


SHOW = shows(
    _ONE,
    show,
    summary="One client",
    response=ClientView,
    errors=(errors.NotFound,),
)


async def change(request: Request) -> Response:
    operator = await writer(request)
    version = version_of(request)
    given = given_in(parse_json(request, await read_body(request), _CHANGE))
    client = await admin_of(request).clients.update(
        operator, _id(request), version, **given
    )
    return versioned(view(client))


CHANGE = changes(
    "PATCH",
    _ONE,
    change,
    summary="Change a client",
    description=(
        "Scopes and audiences are for sign-ins from now on: sessions keep theirs. "
        f"{_REACH} Nor can it give or take rights."
    ),
    is_versioned=True,
    request=ChangeClient,
    example={"redirectUris": ["https://berths.example/return"]},
    response=ClientView,
)


async def rotate_secret(request: Request) -> Response:
    operator = await writer(request)
    client_id, version = _id(request), version_of(request)
    secret = await admin_of(request).clients.rotate_secret(operator, client_id, version)
    return JSON(ClientSecret(client_id, secret))


ROTATE_SECRET = changes(
    "POST",
    f"{_ONE}/rotate-secret",
    rotate_secret,
    summary="Replace the secret of a client",
    description=(
        "The new one is shown only now; the old one works for a second at most. A "
        "client cannot have the secret of one that has any right."
    ),
    is_versioned=True,
    response=ClientSecret,
)


async def disable(request: Request) -> Response:
    operator = await writer(request)
    client_id, version = _id(request), version_of(request)
    clients = admin_of(request).clients
    revoked = await clients.disable(operator, client_id, version)
    client = await clients.get(client_id)
    content = DisabledClient(**fields_of(client), revoked=revoked)
    return versioned(content)


DISABLE = changes(
    "POST",
    f"{_ONE}/disable",
    disable,
    summary="Disable a client",
    description=f"It is refused from now on, and all of its sessions end. {_REACH}",
    is_versioned=True,
    response=DisabledClient,
)


async def enable(request: Request) -> Response:
    operator = await writer(request)
    version = version_of(request)
    await admin_of(request).clients.enable(operator, _id(request), version)
    return await _shown(request)


ENABLE = changes(
    "POST",
    f"{_ONE}/enable",
    enable,
    summary="Enable a client",
    description=f"Sessions that have ended stay so. {_REACH}",
    is_versioned=True,
    response=ClientView,
)


def _id(request: Request) -> str:
    found: str = request.path_params["clientId"]
    return found


async def _shown(request: Request) -> Response:
    client = await admin_of(request).clients.get(_id(request))
    return versioned(view(client))
