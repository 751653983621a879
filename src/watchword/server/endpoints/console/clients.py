"""GET and POST /console/clients: the list, one client, and a new one."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import ID_TOKEN_ALG, Right
from watchword.errors import InvalidRequest, NameTaken, NotFound, VersionChanged
from watchword.ports.clients import Client
from watchword.server.admin_auth import admin_of
from watchword.server.console.clients import (
    Clients,
    ClientScreen,
    ClientSecret,
    NewClient,
    values_of,
)
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console.screens import Fault
from watchword.server.console_response import again, done, screen_of
from watchword.server.endpoints.console.refusing import WRONG, refused, search_fault
from watchword.server.endpoints.console.visitor import (
    Admin,
    for_admin,
    takes_form,
    version_in,
)
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form
from watchword.server.waiting import name_of

_WORDS: Final = ("redirect_uris", "post_logout_redirect_uris", "scope", "audience")
_FLAGS: Final = ("trusted", "pkce", "par")
_NEW: Final = {"pkce": "yes", "id_token_alg": ID_TOKEN_ALG}


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    given = request.query_params
    if "add" in given:
        return screen_of(request, admin, NewClient(values=_NEW))
    if "client" in given:
        client = await admin_of(request).clients.get(given["client"])
        return screen_of(request, admin, _view(client))
    q, after = given.get("q", "").strip(), given.get("after") or None
    try:
        page = await admin_of(request).clients.list(q=q, after=after)
    except InvalidRequest as error:
        view = Clients(q=q, faults=(search_fault(error),))
        return screen_of(request, admin, view, status=422)
    view = Clients(
        clients=tuple(page.items), next=page.next, q=q, is_later=after is not None
    )
    return screen_of(request, admin, view)


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    do = form.need("do")
    if do == "add":
        return await _add(request, admin, form)
    client_id = request.query_params.get("client", "")
    try:
        return await _change(request, admin, form, client_id)
    except NotFound:
        return done(request, ConsoleNotice.GONE, "clients")
    except WRONG as error:
        if isinstance(error, VersionChanged) and do != "change":
            raise
        view = _view(
            await admin_of(request).clients.get(client_id),
            form if do == "change" else None,
        )
        return refused(request, admin, view, error)


async def _add(request: Request, admin: Admin, form: Form) -> Response:
    given = _fields(form)
    try:
        client, secret = await admin_of(request).clients.create(
            admin.operator,
            form.get("client") or "",
            confidential=form.get("kind") == "confidential",
            **given,
        )
    except (NameTaken, InvalidRequest) as error:
        view, fault = NewClient(values=form.fields), None
        if isinstance(error, NameTaken):
            fault = Fault("There is a client of that id already", "client")
        return refused(request, admin, view, error, fault=fault)
    if secret is None:
        notice = ConsoleNotice.CLIENT_ADDED
        return done(request, notice, "clients", client=client.id)
    return _secret(request, admin, client, secret, f"{name_of(client)} is added")


async def _change(
    request: Request, admin: Admin, form: Form, client_id: str
) -> Response:
    clients, version, by = admin_of(request).clients, version_in(form), admin.operator
    match form.need("do"):
        case "change":
            before = await clients.get(client_id)
            wanted = {
                name: value
                for name, value in _fields(form).items()
                if value != getattr(before, name)
            }
            await clients.update(by, client_id, version, **wanted)
            return again(request, ConsoleNotice.CLIENT_CHANGED)
        case "rotate-secret":
            secret = await clients.rotate_secret(by, client_id, version)
            client = await clients.get(client_id)
            title = f"The secret of {name_of(client)} is replaced"
            return _secret(request, admin, client, secret, title)
        case "disable":
            count = await clients.disable(by, client_id, version)
            return again(request, ConsoleNotice.CLIENT_DISABLED, count)
        case "enable":
            await clients.enable(by, client_id, version)
            return again(request, ConsoleNotice.CLIENT_ENABLED)
    raise InvalidRequest("There is no such form.")


def _fields(form: Form) -> dict[str, Any]:
    """What the form says of a client, by the names of its fields."""
    words = {name: tuple((form.get(name) or "").split()) for name in _WORDS}
    flags = {name: form.get(name) == "yes" for name in _FLAGS}
    rights = tuple(one for one in Right if form.get(f"right-{one}") == "yes")
    return {
        "name": (form.get("name") or "").strip(),
        "id_token_alg": form.get("id_token_alg") or ID_TOKEN_ALG,
        "rights": rights,
        **words,
        **flags,
    }


def _view(client: Client, typed: Form | None = None) -> ClientScreen:
    return ClientScreen(
        title=name_of(client),
        client=client,
        values=values_of(client) if typed is None else typed.fields,
    )


def _secret(
    request: Request, admin: Admin, client: Client, secret: str, title: str
) -> Response:
    view = ClientSecret(
        title=title,
        text="Copy the secret now: it is not shown again.",
        values=(("Client secret", secret), ("Client id", client.id)),
        onward="clients",
        query={"client": client.id},
    )
    return screen_of(request, admin, view)


ENDPOINTS: Final = screen_operations("clients", show, submit)
