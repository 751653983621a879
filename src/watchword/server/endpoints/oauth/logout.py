"""GET and POST /oauth/logout: a client asks to sign its user out.

OpenID Connect RP-Initiated Logout 1.0. The session of the browser ends, and with it
those of all clients that it let in.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import as_text
from watchword.errors import NotFound
from watchword.oauth.logout import REQUEST
from watchword.server.operation import page_operations
from watchword.server.page_response import look_ahead, redirect
from watchword.server.parsing import (
    by_user,
    engine_of,
    oauth_of,
    query_of,
    read_form,
)
from watchword.server.signing_out import after_sign_out, ask_to_sign_out, sign_in_of


async def show(request: Request) -> Response:
    # A browser that looks ahead must not sign its user out.
    if (ahead := look_ahead(request)) is not None:
        return ahead
    session, lapsed = await sign_in_of(request)
    outcome = await oauth_of(request).logout.look(
        query_of(request), session, lapsed=lapsed, by=by_user(request)
    )
    if not outcome.asks or session is None:
        return after_sign_out(request, outcome)
    accounts = engine_of(request).accounts
    try:
        account = await accounts.get_by_subject(as_text(session.account_id))
    except NotFound:  # deleted a moment ago
        return after_sign_out(request, outcome)
    return await ask_to_sign_out(request, outcome, session, account)


async def submit(request: Request) -> Response:
    """To the same by GET: a browser sends no cookie with a POST of another site."""
    ticket = oauth_of(request).logout.keep((await read_form(request)).fields)
    return redirect(f"logout?{REQUEST}={ticket}")


SHOW, SUBMIT = page_operations("/oauth/logout", show, submit)
