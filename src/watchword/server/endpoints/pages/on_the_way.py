"""Pages that a client waits for: what it wants is looked at before the page is.

A page is on the way where its address names an interaction: one that has run out, or
was begun in another browser, gets an error page, and nothing that its form says is done
(login CSRF). The pages beside the way go on without it. Behind the link of a message
the interaction is in a cookie.
"""

from __future__ import annotations

import contextlib
import functools

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.authorize import Granted, Verdict
from watchword.core.session import Session
from watchword.errors import InteractionExpired, WatchwordError
from watchword.oauth.authorize import Outcome
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.endpoints.pages.visitor import Begun
from watchword.server.interacting import answer_of
from watchword.server.operation import Handler
from watchword.server.page_cookies import (
    browser_in,
    keep_interaction,
    kept_interaction,
)
from watchword.server.page_response import look_ahead, redirect, see_other
from watchword.server.parsing import by_user, oauth_of
from watchword.server.problems import answer_to
from watchword.server.returning import place_in
from watchword.server.waiting import INTERACTION, Waiting, set_waiting, waiting_in


def on_the_way(handler: Handler) -> Handler:
    """The handler of a page that a client may wait for.

    It is not looked at ahead: that may make a code.
    """

    @functools.wraps(handler)
    async def handle(request: Request) -> Response:
        ticket = _ticket_in(request)
        if ticket:
            if (ahead := look_ahead(request)) is not None:
                return ahead
            await _look(request, ticket)
        return await handler(request)

    return handle


def beside_the_way(handler: Handler) -> Handler:
    """The handler of a page that helps a user that cannot sign in yet.

    It works as well without the client, which may have waited for too long.
    """

    @functools.wraps(handler)
    async def handle(request: Request) -> Response:
        ticket = _ticket_in(request) or kept_interaction(request)
        if ticket and waiting_in(request) is None:
            with contextlib.suppress(InteractionExpired):
                await _look(request, ticket)
        return await handler(request)

    return handle


def _ticket_in(request: Request) -> str:
    # What a client asks for is answered by the main listener.
    if is_at_admin_listener(request):
        return ""
    return request.query_params.get(INTERACTION, "")


async def _look(request: Request, ticket: str) -> None:
    asked = await oauth_of(request).authorization.asked(
        ticket, browser=browser_in(request)
    )
    set_waiting(request, Waiting(ticket, asked.request, asked.client))


def keep_waiting(request: Request) -> tuple[str, ...]:
    """`Set-Cookie` so that the link of a message leads back to the client."""
    waiting = waiting_in(request)
    return () if waiting is None else keep_interaction(waiting.ticket)


def signed_in_page(request: Request) -> str:
    """The page that a browser goes to which is signed in already."""
    # That page goes on to the client, or back to the console.
    goes_on = waiting_in(request) is not None or place_in(request)
    return "sign-in" if goes_on else "account"


async def leaves(
    request: Request, session: Session, stay: type[Verdict]
) -> Response | None:
    """Where a signed-in browser goes that has nothing to do here.

    None where the page is what has to be asked, and where no client waits.
    """
    waiting = waiting_in(request)
    if waiting is None:
        return None
    outcome = await outcome_of(request, waiting, session)
    return None if isinstance(outcome.verdict, stay) else answer_of(request, outcome)


async def outcome_of(request: Request, waiting: Waiting, session: Session) -> Outcome:
    """What comes next for a signed-in browser. Raises InteractionExpired."""
    return await oauth_of(request).authorization.go_on(
        waiting.ticket, session, browser=browser_in(request), by=by_user(request)
    )


async def answer(
    request: Request, waiting: Waiting, session: Session, allows: Granted | None
) -> Response:
    """Where the browser goes after the user's answer. Raises InteractionExpired."""
    outcome = await oauth_of(request).authorization.consent(
        waiting.ticket,
        session,
        allows=allows,
        browser=browser_in(request),
        by=by_user(request),
    )
    return answer_of(request, outcome)


async def finish(request: Request, begun: Begun, *cookies: str) -> Response:
    """On to the client that waits, the console or the account page.

    The cookies are set whatever comes of it: the ones that the browser has would soon
    end its session.
    """
    given, waiting = (*begun.cookies, *cookies), waiting_in(request)
    if waiting is None:
        return go_back(request, "account", *given)
    try:
        outcome = await outcome_of(request, waiting, begun.session)
        return answer_of(request, outcome, *given)
    except WatchwordError as error:
        response = answer_to(error, request.scope)
        for cookie in given:
            response.headers.append("set-cookie", cookie)
        return response


def go_back(request: Request, page: str, *cookies: str) -> Response:
    """To the page of the console that the user came from, or else to that page."""
    place = place_in(request)
    return redirect(place, *cookies) if place else see_other(request, page, *cookies)


async def cancel(request: Request) -> Response:
    """Back to the client, which is told that the user does not want to."""
    waiting = waiting_in(request)
    if waiting is None:
        return see_other(request, "sign-in")
    location = await oauth_of(request).authorization.cancel(
        waiting.ticket, browser=browser_in(request)
    )
    return redirect(location)
