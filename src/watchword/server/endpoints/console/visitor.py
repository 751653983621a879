"""Which browsers see the console, and which may change something by it.

The browser is signed in by the pages' own session. Signed out, it goes to the sign-in
page, which leads back. To an account without the role there is no such page.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from watchword.admin.operators import Operator
from watchword.core.actor import Actor, By
from watchword.errors import InvalidRequest, NotFound
from watchword.server.admin_auth import admin_of
from watchword.server.console.notices import REFUSED
from watchword.server.console.screens import ProveFirst
from watchword.server.console_response import again, is_recent, screen_of
from watchword.server.csrf import read_page_form
from watchword.server.listeners import console_is_open
from watchword.server.operation import Handler
from watchword.server.page_response import see_other
from watchword.server.parsing import Form, client_address, engine_of
from watchword.server.returning import place_of
from watchword.server.visitor import Owner, owner_of


class Admin(Owner, frozen=True):
    """A signed-in browser of an account with the admin role."""

    operator: Operator


_DIGITS_MAX: Final = 18
_REFUSED: Final = tuple(REFUSED)
AdminHandler: TypeAlias = Callable[[Request, Admin], Awaitable[Response]]
FormHandler: TypeAlias = Callable[[Request, Admin, Form], Awaitable[Response]]


def for_admin(handler: AdminHandler) -> Handler:
    """The handler of a screen.

    A browser that is signed out goes to sign in, and one with less than the account can
    prove goes to prove it; both come back. Raises NotFound without the role.
    """

    @functools.wraps(handler)
    async def handle(request: Request) -> Response:
        if not console_is_open(request):
            raise NotFound
        admin_of(request)
        owner = await owner_of(request)
        if owner is None:
            return see_other(request, "sign-in", then=place_of(request))
        account, role = owner.account, engine_of(request).settings.admin_role
        if account.disabled or role not in account.roles:
            raise NotFound
        if not owner.has_proved_all:
            return see_other(request, "prove", then=place_of(request))
        by = By(Actor.ADMIN, client_address(request), account.subject)
        operator = Operator(by, account.id)
        admin = Admin(owner.session, account, owner.enrolled, operator)
        return await handler(request, admin)

    return handle


def takes_form(handler: FormHandler) -> Handler:
    """The handler of a form, which is called with what the form says.

    It is one of our own forms, and the latest proof is recent: else the answer says
    that nothing was changed. So it does for each error in `REFUSED` that the handler
    raises: others get the page for errors.
    """

    @for_admin
    @functools.wraps(handler)
    async def handle(request: Request, admin: Admin) -> Response:
        try:
            form = await read_page_form(request)
            if not is_recent(request, admin):
                return screen_of(request, admin, ProveFirst(), status=403)
            return await handler(request, admin, form)
        except _REFUSED as error:
            kinds = (one for one in REFUSED if isinstance(error, one))
            return again(request, REFUSED[next(kinds)])

    return handle


def version_in(form: Form) -> int:
    """The version of the thing that the screen showed. Raises InvalidRequest."""
    given = form.need("version")
    if not given.isascii() or not given.isdigit() or len(given) > _DIGITS_MAX:
        raise InvalidRequest("The version is not a number.")
    return int(given)
