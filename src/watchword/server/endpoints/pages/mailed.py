"""A form that carries the code of a mail: looked at first, and done by its button."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import ConfirmationInvalid, CsrfRejected, Throttled
from watchword.server.csrf import read_page_form
from watchword.server.page_response import missing, page_again, page_of
from watchword.server.pages.views import Code, View
from watchword.server.parsing import Form

Looked = TypeVar("Looked", bound=View)


async def submitted(
    request: Request,
    code: Code,
    step: str,
    look: Callable[[Request, Form], Awaitable[Looked]],
    press: Callable[[Request, Form, Looked], Awaitable[Response]],
) -> Response:
    """The answer to the form of a page behind a link.

    `look` returns what the page asks for the code of the form, and spends nothing. Only
    a form that says `step` was sent by the button, and is handed to `press`. Both may
    raise ConfirmationInvalid and Throttled: then the page begins anew, at `code`.
    """
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, code, error)
    faults = missing(form, token="token")  # noqa: S106 - an id
    if faults:
        return page_of(request, replace(code, faults=faults), status=422)
    try:
        view = await look(request, form)
        if form.get("step") != step:
            return page_of(request, view)
        return await press(request, form, view)
    except (ConfirmationInvalid, Throttled) as error:
        return page_again(request, code, error, "token")
