"""A browser that signs in: its session begins, or goes on with more proved."""

from __future__ import annotations

from typing import TypedDict

import msgspec
from starlette.requests import Request

from watchword.core.session import Authenticated, Session, TokenSet
from watchword.server.csrf import new_form_cookie
from watchword.server.page_cookies import (
    drop_interaction,
    drop_step,
    kept_interaction,
    step_in,
)
from watchword.server.parsing import (
    client_address,
    engine_of,
    self_service_of,
    user_agent,
)
from watchword.server.sign_in_cookie import set_sign_in_cookie, sign_in_cookie


class PageRequest(TypedDict):
    """What a request to a page says of the session that it begins."""

    replaces: str
    address: str
    user_agent: str


class Begun(msgspec.Struct, frozen=True):
    """A session of this browser that has begun, and the cookies that go with it."""

    session: Session
    cookies: tuple[str, ...]


def page_request(request: Request) -> PageRequest:
    """What this request says of the session that it begins behind a continuation."""
    return PageRequest(
        replaces=sign_in_cookie(request),
        address=client_address(request),
        user_agent=user_agent(request),
    )


async def begin(
    request: Request, authenticated: Authenticated, *, mailbox: bool = False
) -> Begun:
    """Sign this browser in.

    `mailbox`: the user has just shown to read the mail of the account. Raises
    SecondFactorRequired and SecondFactorEnrolmentRequired where more has to be proved,
    InvalidCredentials if the account has changed meanwhile, Overloaded,
    StoreUnavailable.
    """
    tokens = await self_service_of(request).browser.begin(
        authenticated,
        cookie=sign_in_cookie(request),
        address=client_address(request),
        user_agent=user_agent(request),
        mailbox=mailbox,
    )
    return signed_in(request, tokens)


def signed_in(request: Request, tokens: TokenSet) -> Begun:
    """The session and its cookies, also that of its forms from now on.

    What the browser kept on the way to it goes.
    """
    cookies = [
        set_sign_in_cookie(request, tokens),
        new_form_cookie(engine_of(request).entropy),
    ]
    if step_in(request):
        cookies.append(drop_step())
    if kept_interaction(request):
        cookies.append(drop_interaction())
    return Begun(tokens.session, tuple(cookies))
