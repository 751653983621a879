"""The answers of the console: a screen, or the way to the next one."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import ADMIN_RECENT
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.console.frames import ConsoleFrame
from watchword.server.console.notices import ConsoleNotice, is_refusal, words_of
from watchword.server.console.rendering import render
from watchword.server.console.screens import Screen
from watchword.server.csrf import form_token
from watchword.server.page_cookies import drop_notice, notice_in, set_notice
from watchword.server.page_response import redirect, see_other
from watchword.server.pages.rendering import HEADERS, HTML
from watchword.server.parsing import engine_of
from watchword.server.returning import CONSOLE, is_below, place_of
from watchword.server.visitor import Owner


def is_recent(request: Request, owner: Owner) -> bool:
    """Whether the last proof is at the highest level, and of the last ADMIN_RECENT."""
    age = engine_of(request).clock() - owner.session.auth_time
    return owner.has_proved_all and age <= ADMIN_RECENT


def screen_of(
    request: Request,
    owner: Owner,
    screen: Screen,
    *,
    status: int = 200,
    cookies: Iterable[str] = (),
) -> Response:
    """The screen, with the notice that the browser brings, if it brings one."""
    proof = form_token(request, engine_of(request).entropy)
    notice, count = notice_in(request, ConsoleNotice)
    frame = _frame(request, owner, proof.token)
    if notice is not None:
        frame = replace(
            frame, notice=words_of(notice, count), is_refusal=is_refusal(notice)
        )
    response = Response(render(screen, frame), status, HEADERS, HTML)
    dropped = drop_notice(request) if notice else ()
    for cookie in filter(None, (proof.set_cookie, *dropped, *cookies)):
        response.headers.append("set-cookie", cookie)
    return response


def part_of(request: Request, owner: Owner, screen: Screen) -> Response:
    """A part of a screen that has no form: for one that is open already."""
    return Response(render(screen, _frame(request, owner, "")), 200, HEADERS, HTML)


def _frame(request: Request, owner: Owner, token: str) -> ConsoleFrame:
    settings = engine_of(request).settings
    return ConsoleFrame(
        host=urlsplit(settings.effective_issuer).netloc,
        name=owner.account.name,
        subject=owner.account.subject,
        token=token,
        up=_up(request),
        place=place_of(request),
        proved=owner.session.auth_time,
        recent=is_recent(request, owner),
        account=not is_at_admin_listener(request),
    )


def _up(request: Request) -> str:
    """What leads from this screen to where the pages are."""
    return "../" if is_below(request.scope["path"]) else ""


def done(
    request: Request,
    notice: ConsoleNotice,
    screen: str,
    *,
    count: int = 0,
    **query: str,
) -> Response:
    """On to a screen, which says what was done (or refused)."""
    cookie = set_notice(notice, count)
    return see_other(request, f"{CONSOLE}/{screen}", cookie, **query)


def again(request: Request, notice: ConsoleNotice, count: int = 0) -> Response:
    """To the same screen, which says what was done (or refused)."""
    return redirect(_up(request) + place_of(request), set_notice(notice, count))
