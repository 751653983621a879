"""GET and POST /confirm: the links of messages, and what their buttons do.

Each link is used in two steps. `look` shows what its code is for, and spends nothing.
`confirm` is the button of that page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.one_time_token import TokenPurpose
from watchword.errors import (
    ConfirmationInvalid,
    EmailTaken,
    InvalidCredentials,
    NameInvalid,
    NameTaken,
    PasswordRejected,
)
from watchword.server.endpoints.pages.confirming import BUTTONS
from watchword.server.endpoints.pages.mailed import submitted
from watchword.server.endpoints.pages.on_the_way import beside_the_way
from watchword.server.operation import page_operations
from watchword.server.page_cookies import handles_in
from watchword.server.page_response import missing, page_again, page_of
from watchword.server.pages.views import Code, Confirm, Fault, Link, Reason
from watchword.server.parsing import Form, self_service_of
from watchword.server.visitor import visitor_of

_CODE: Final = Code(is_reset=False)
_ELSEWHERE: Final = {TokenPurpose.RESET, TokenPurpose.ENROL}
"""Purposes that have a page of their own."""

_FIELDS: Final = ("username", "password")
_WRONG: Final = Fault(Reason.PASSWORD_WRONG, "password")


@beside_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    return page_of(request, _CODE)


@beside_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    return await submitted(request, _CODE, "confirm", _looked_at, _confirm)


async def _looked_at(request: Request, form: Form) -> Confirm:
    """What the page asks for the token of the form. It spends nothing.

    Raises ConfirmationInvalid.
    """
    service, token = self_service_of(request), form.need("token")
    link = await service.links.look(token)
    if link.purpose in _ELSEWHERE:
        raise ConfirmationInvalid
    view = Confirm(
        link=Link(link.purpose),
        token=token,
        address=link.address,
        username=link.username or "",
    )
    match view.link:
        case Link.REGISTRATION:
            handles = handles_in(request)
            known = await service.registrations.is_asker(token, handles)
            return replace(view, asks_password=not known)
        case Link.INVITATION:
            known = link.account_id is not None
            return replace(view, asks_password=known, asks_name=not known)
        case Link.EMAIL:
            visitor = await visitor_of(request)
            here = visitor is not None and visitor.account.id == link.account_id
            return replace(view, asks_password=not here)
        case _:
            return view


async def _confirm(request: Request, form: Form, view: Confirm) -> Response:
    username = form.get("username")
    if username is not None:  # it stays, in its field
        view = replace(view, username=username, asks_name=True)
    asks_password = view.asks_password or view.link is Link.INVITATION
    faults = missing(form, password="password") if asks_password else ()  # noqa: S106
    if view.link is Link.REVERT and form.get("sure") is None:
        faults = (Fault(Reason.SURE, "sure"),)
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        return await BUTTONS[view.link](request, form, view)
    except (NameTaken, NameInvalid) as error:
        view = replace(view, asks_name=True)
        return page_again(request, view, error, *_FIELDS)
    except EmailTaken:
        is_change = view.link is Link.EMAIL
        reason = Reason.EMAIL_TAKEN if is_change else Reason.ADDRESS_IN_USE
        view = replace(view, faults=(Fault(reason),))
        return page_of(request, view, status=HTTPStatus.CONFLICT)
    except (InvalidCredentials, PasswordRejected) as error:
        if isinstance(error, InvalidCredentials):
            # The account of an invitation may have come to be since it was looked at.
            view = replace(view, asks_password=True)
        return page_again(request, view, error, *_FIELDS, wrong=_WRONG)


SHOW, SUBMIT = page_operations("/confirm", show, submit)
