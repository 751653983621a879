"""GET and POST /console/keys: the signing keys, rotated and retired."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import InvalidRequest
from watchword.ports.keys import KeyUse
from watchword.server.admin_auth import admin_of
from watchword.server.console.keys import Keys
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console_response import again, screen_of
from watchword.server.endpoints.console.refusing import WRONG, refused
from watchword.server.endpoints.console.visitor import (
    Admin,
    for_admin,
    takes_form,
)
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form, engine_of


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    return screen_of(request, admin, await _view(request))


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    keys = admin_of(request).keys
    try:
        match form.need("do"):
            case "rotate":
                await keys.rotate(admin.operator, _use_in(form))
                return again(request, ConsoleNotice.KEY_ROTATED)
            case "retire":
                await keys.retire(admin.operator, form.need("kid"))
                return again(request, ConsoleNotice.KEY_RETIRED)
        raise InvalidRequest("There is no such form.")
    except WRONG as error:
        return refused(request, admin, await _view(request), error)


def _use_in(form: Form) -> KeyUse:
    given = form.need("use")
    if given not in set(KeyUse):
        raise InvalidRequest("There is no such use of keys.")
    return KeyUse(given)


async def _view(request: Request) -> Keys:
    keys = await admin_of(request).keys.list()
    issuer = engine_of(request).settings.effective_issuer.rstrip("/")
    return Keys(keys=tuple(keys), jwks=f"{issuer}/.well-known/jwks.json")


ENDPOINTS: Final = screen_operations("keys", show, submit)
