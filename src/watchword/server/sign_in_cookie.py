"""The cookie of a browser's sign-in at this server, for the pages alone.

The admin listener has a cookie of its own: browsers do not tell the ports of a host
apart, and a session that began at one listener must not serve at the other. There the
cookie holds the token sealed, so that none of both values is worth anything under the
other name.

It is not rotated by use, so that pages may be loaded side by side. SameSite is Lax, so
that it comes along where another site sends its user here, by a link or a redirect. So
no request that changes something may rely on this cookie alone.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request

from watchword.core.limits import COOKIE_MAX_AGE
from watchword.core.session import Session, TokenSet
from watchword.core.ticket import TicketInvalid, TicketPurpose
from watchword.errors import InvalidRequest
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.cookies import cookies_named
from watchword.server.parsing import (
    client_address,
    engine_of,
    self_service_of,
    user_agent,
)

SIGN_IN_COOKIE: Final = "__Host-watchword-sign-in"
ADMIN_COOKIE: Final = "__Host-watchword-admin-sign-in"

_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"


class _Sealed(msgspec.Struct, frozen=True):
    """What the cookie of the admin listener holds."""

    token: str


def sign_in_cookies(request: Request) -> list[str]:
    """The values of all cookies of that name that came."""
    return cookies_named(request, _name(request).encode())


def sign_in_cookie(request: Request) -> str:
    """The value for `BrowserSignIn`, or ``""``.

    Raises InvalidRequest for two cookies of that name: another site has set one of
    them.
    """
    found = sign_in_cookies(request)
    if len(found) > 1:
        raise InvalidRequest(f"The cookie {_name(request)} came twice.")
    value = found[0] if found else ""
    if not is_at_admin_listener(request):
        return value
    try:
        tickets = engine_of(request).tickets
        return tickets.open(TicketPurpose.ADMIN_COOKIE, value, _Sealed).token
    except TicketInvalid:
        return ""


async def browser_session(request: Request) -> Session | None:
    """The browser's sign-in at this server; None where there is none that lives.

    Raises NotFound in an app that has users of its own, InvalidRequest as
    `sign_in_cookie`, StoreUnavailable.
    """
    browser, cookie = self_service_of(request).browser, sign_in_cookie(request)
    if not cookie:
        return None
    return await browser.session_of(
        cookie, address=client_address(request), user_agent=user_agent(request)
    )


def set_sign_in_cookie(request: Request, tokens: TokenSet) -> str:
    """`Set-Cookie` for what `BrowserSignIn.begin` returned.

    A use does not set it anew, so it is kept until the session has to end.
    """
    session, value = tokens.session, tokens.refresh_token
    life = session.expires_at - session.rotated_at
    if is_at_admin_listener(request):
        value = engine_of(request).tickets.seal(
            TicketPurpose.ADMIN_COOKIE, _Sealed(value), life=life
        )
    age = min(life, COOKIE_MAX_AGE) // 1000
    return f"{_name(request)}={value}; {_ATTRIBUTES}; Max-Age={age}"


def drop_sign_in_cookie(request: Request) -> str:
    """`Set-Cookie` that deletes the cookie."""
    return f"{_name(request)}=; {_ATTRIBUTES}; Max-Age=0"


def _name(request: Request) -> str:
    return ADMIN_COOKIE if is_at_admin_listener(request) else SIGN_IN_COOKIE
