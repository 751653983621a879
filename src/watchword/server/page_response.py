"""The answers of our pages: a view, the same with an error, or the next page."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import WatchwordError
from watchword.server.csrf import form_token
from watchword.server.pages.faults import CREDENTIALS, fault_of
from watchword.server.pages.frames import frame_of
from watchword.server.pages.rendering import HEADERS, HTML, render
from watchword.server.pages.views import Fault, Reason, View
from watchword.server.parsing import Form, engine_of, only_looks
from watchword.server.problems import error_headers, problem_of
from watchword.server.waiting import waiting_in


def page_of(
    request: Request,
    view: View,
    *,
    status: int = 200,
    account: str | None = None,
    cookies: Iterable[str] = (),
    form_action: str = "",
) -> Response:
    """The page, in the language of the request or of the account, if it has one.

    It sets the cookie that its forms need, where the browser has none, and `cookies`.
    `form_action` is where its form may end besides: `redirect_uri.source_of`. Where a
    client waits, that is known.
    """
    engine, waiting = engine_of(request), waiting_in(request)
    if waiting is not None:
        form_action = form_action or waiting.source
    proof = form_token(request, engine.entropy)
    frame = frame_of(
        request,
        engine.settings,
        account=account,
        token=proof.token,
        keeps=bool(form_action),
    )
    html = render(view, frame, engine.settings.templates)
    headers = HEADERS
    if form_action:
        policy = f"{HEADERS['content-security-policy']} {form_action}"
        headers = HEADERS | {"content-security-policy": policy}
    response = Response(html, status, headers, HTML)
    return _with(response, filter(None, (proof.set_cookie, *cookies)))


def page_again(
    request: Request,
    view: View,
    error: WatchwordError,
    *fields: str,
    wrong: Fault = CREDENTIALS,
    account: str | None = None,
    form_action: str = "",
) -> Response:
    """The page with these fields once more, and what was wrong.

    `form_action` is as at `page_of`. Raises the error where a page of its own is about
    it.
    """
    fault = fault_of(error, *fields, wrong=wrong)
    if fault is None:
        raise error
    problem = problem_of(error)
    status = problem.status
    request.scope["problem"] = problem.code  # for the access log
    view = msgspec.structs.replace(view, faults=(*view.faults, fault))
    response = page_of(
        request, view, status=status, account=account, form_action=form_action
    )
    for name, value in error_headers(error, status, request.scope).items():
        response.headers[name] = value
    return response


def missing(form: Form, **fields: str) -> tuple[Fault, ...]:
    """A fault for each field that was left empty: the id of a field by its name."""
    return tuple(
        Fault(Reason.MISSING, field)
        for name, field in fields.items()
        if form.get(name) is None
    )


def see_other(request: Request, page: str, *cookies: str, **query: str) -> Response:
    """Go on to that page, in the language asked for (RFC 9110 §15.4.4).

    The address is relative, as those in the pages are.
    """
    frame = frame_of(request, engine_of(request).settings)
    return redirect(frame.link(page, **query), *cookies)


def look_ahead(request: Request) -> Response | None:
    """The answer where nothing may be done or spent yet; None where the user is there.

    A prefetch is told to come again (503): what it gets a browser might keep.
    """
    if not only_looks(request):
        return None
    if request.method == "HEAD":
        return Response(status_code=204, headers=HEADERS)
    return Response(status_code=503, headers=HEADERS | {"retry-after": "1"})


def redirect(location: str, *cookies: str) -> Response:
    """Go on there by GET, whatever the method was (RFC 9110 §15.4.4)."""
    headers = HEADERS | {"location": location}
    return _with(Response(status_code=303, headers=headers), cookies)


def _with(response: Response, cookies: Iterable[str]) -> Response:
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response
