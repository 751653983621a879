"""The pages of a sign-out that a client has asked for: the question, and the end.

They are shown at `/oauth/logout`. The form of the question is sent to `/signed-out`,
with the request of the client in the field `logout`.
"""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import FIRST_PARTY
from watchword.core import redirect_uri
from watchword.core.session import Session
from watchword.errors import NotFound, WatchwordError
from watchword.oauth.logout import LogoutOutcome
from watchword.ports.accounts import Account
from watchword.server.csrf import new_form_cookie
from watchword.server.page_response import page_again, page_of, redirect
from watchword.server.pages.client_views import SignedOut
from watchword.server.parsing import engine_of
from watchword.server.sign_in_cookie import (
    browser_session,
    drop_sign_in_cookie,
    sign_in_cookie,
)
from watchword.server.waiting import home_of, name_of


async def sign_in_of(request: Request) -> tuple[Session | None, Session | None]:
    """The browser's sign-in, if it lives; or else one that has run out.

    Raises InvalidRequest for two cookies, StoreUnavailable; NotFound in an app that has
    users of its own.
    """
    session, cookie = await browser_session(request), sign_in_cookie(request)
    if session is not None or not cookie:
        return session, None
    row = await engine_of(request).sessions.session_of(cookie)
    return None, None if row is None or row.revoked_at is not None else row


async def ask_to_sign_out(
    request: Request,
    outcome: LogoutOutcome,
    session: Session,
    account: Account,
    error: WatchwordError | None = None,
) -> Response:
    """The page that asks whether the user wants what a client has asked for.

    `error` is what was wrong with the answer to such a page.
    """
    client = outcome.client
    view = SignedOut(
        name=account.name,
        client="" if client is None else name_of(client),
        ticket=outcome.ticket,
        apps=await _apps(request, session),
    )
    source = redirect_uri.source_of(outcome.location) if outcome.location else ""
    locale = account.locale
    if error is not None:
        return page_again(request, view, error, account=locale, form_action=source)
    return page_of(request, view, account=locale, form_action=source)


async def _apps(request: Request, session: Session) -> tuple[str, ...]:
    """What users know the apps by that are signed out with that session."""
    engine, names = engine_of(request), []
    for client_id in await engine.sessions.groups.leaving(session):
        if client_id == FIRST_PARTY.id:  # a program of ours, and no app
            continue
        with contextlib.suppress(NotFound):
            names.append(name_of(await engine.clients.get(client_id)))
    return tuple(names)


def after_sign_out(request: Request, outcome: LogoutOutcome) -> Response:
    """Back to the client, if it may say so; otherwise the page that it is done."""
    cookies = () if outcome.is_kept else signed_out_cookies(request)
    if outcome.location:
        return redirect(outcome.location, *cookies)
    client = outcome.client
    uris = () if client is None else client.redirect_uris
    view = SignedOut(
        client="" if client is None else name_of(client),
        home=next(filter(None, map(home_of, uris)), ""),
        is_faulty=outcome.is_faulty,
    )
    return page_of(request, view, cookies=cookies)


def signed_out_cookies(request: Request) -> tuple[str, str]:
    """`Set-Cookie` of a browser that is signed out: its open forms end, too."""
    return drop_sign_in_cookie(request), new_form_cookie(engine_of(request).entropy)
