"""The cookie of a browser's sign-in at this server, for the pages alone.

It is not rotated by use, so that pages may be loaded side by side. SameSite is Lax, so
that it comes along where another site sends its user here, by a link or a redirect. So
no request that changes something may rely on this cookie alone.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from watchword.core.limits import COOKIE_MAX_AGE
from watchword.core.session import Session, TokenSet
from watchword.errors import InvalidRequest
from watchword.server.cookies import cookies_named
from watchword.server.parsing import client_address, self_service_of, user_agent

SIGN_IN_COOKIE: Final = "__Host-watchword-sign-in"

_RAW_NAME: Final = SIGN_IN_COOKIE.encode()
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"


def sign_in_cookies(request: Request) -> list[str]:
    """The values of all cookies of that name that came."""
    return cookies_named(request, _RAW_NAME)


def sign_in_cookie(request: Request) -> str:
    """The value for `BrowserSignIn`, or ``""``.

    Raises InvalidRequest for two cookies of that name: another site has set one of
    them.
    """
    found = sign_in_cookies(request)
    if len(found) > 1:
        raise InvalidRequest(f"The cookie {SIGN_IN_COOKIE} came twice.")
    return found[0] if found else ""


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


def set_sign_in_cookie(tokens: TokenSet) -> str:
    """`Set-Cookie` for what `BrowserSignIn.begin` returned.

    A use does not set it anew, so it is kept until the session has to end.
    """
    session = tokens.session
    age = min(session.expires_at - session.rotated_at, COOKIE_MAX_AGE) // 1000
    return f"{SIGN_IN_COOKIE}={tokens.refresh_token}; {_ATTRIBUTES}; Max-Age={age}"


def drop_sign_in_cookie() -> str:
    """`Set-Cookie` that deletes the cookie."""
    return f"{SIGN_IN_COOKIE}=; {_ATTRIBUTES}; Max-Age=0"
