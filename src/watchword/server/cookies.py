"""The session cookie of a browser, and the requests that may use it.

The refresh token lies in a cookie that no script can read (RFC 6265bis, `__Host-`). The
browser sends the cookie with every request, also with one that a foreign page caused.
So every use of it needs a header that a foreign page cannot set without a preflight,
and an origin that is the server's own or is allowed. No error ever deletes the cookie:
the answer may arrive late, when the browser has a newer cookie already.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from watchword.core.limits import COOKIE_MAX_AGE
from watchword.core.session import TokenSet
from watchword.errors import CsrfRejected, InvalidRequest
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.parsing import engine_of, one_header
from watchword.server.token_auth import access_token

COOKIE: Final = "__Host-watchword"
CSRF_HEADER: Final = "X-Requested-With"
CLEAR_SITE_DATA: Final = '"cookies", "storage"'

_CSRF_NAME: Final = CSRF_HEADER.lower().encode()
_RAW_NAME: Final = COOKIE.encode()
# A browser rejects a `__Host-` cookie unless it has Secure, this path and no domain.
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"


def is_by_cookie(request: Request) -> bool:
    """Whether the page says that it uses the cookie, whether or not there is one."""
    return one_header(request, _CSRF_NAME) is not None


def token_in_cookie(request: Request) -> str | None:
    """The refresh token of the request's cookie, if there is one and it may be used.

    Raises CsrfRejected if another site may have caused the request. Raises
    InvalidRequest for two cookies of that name: another site has set one of them.
    """
    found = cookies_named(request, _RAW_NAME)
    if not found:
        return None
    if len(found) > 1:
        raise InvalidRequest(f"The cookie {COOKIE} came twice.")
    # A foreign page can set neither of these headers without a preflight, which we
    # refuse. Basic authentication does not count: a browser that has stored a password
    # sends it by itself.
    if not is_by_cookie(request) and access_token(request) is None:
        raise CsrfRejected
    check_origin(request)
    return found[0]


def token_to_replace(request: Request) -> str:
    """The refresh token of the session that a new sign-in replaces, or ``""``.

    To be called after `check_origin`: a foreign page must not end the old session.
    """
    found = cookies_named(request, _RAW_NAME)
    return found[0] if len(found) == 1 else ""


def cookies_named(request: Request, name: bytes) -> list[str]:
    """The values of the cookies of that name: more than one if a site has set one."""
    return [
        value.decode("latin-1")
        for field, line in request.scope["headers"]
        if field == b"cookie"
        for key, _, value in (pair.strip().partition(b"=") for pair in line.split(b";"))
        if key == name
    ]


def check_origin(request: Request, *, ours_alone: bool = False) -> None:
    """Raises CsrfRejected for a page of another origin that is not on the list.

    With `ours_alone` the list does not count: those origins may call the API, and none
    of them may send the forms of our pages.

    A browser says which origin a request comes from, and no page can forge that. A
    client that sends neither header is no browser, so no foreign page can have caused
    its request.
    """
    site = one_header(request, b"sec-fetch-site")
    if site == b"same-origin":
        return
    origin = one_header(request, b"origin")
    if site is None and origin is None:
        return
    if is_at_admin_listener(request):  # the main one is another origin, too
        raise CsrfRejected
    settings = engine_of(request).settings
    allowed = {settings.effective_origin}
    if not ours_alone:
        allowed.update(settings.cors_origins)
    if origin is None or origin.decode("latin-1") not in allowed:
        raise CsrfRejected


def set_cookie(tokens: TokenSet) -> str:
    """`Set-Cookie` for the refresh token of these tokens, kept as long as it works."""
    age = min(tokens.refresh_expires_in, COOKIE_MAX_AGE // 1000)
    return f"{COOKIE}={tokens.refresh_token}; {_ATTRIBUTES}; Max-Age={age}"


def drop_cookie() -> str:
    """`Set-Cookie` that deletes the cookie."""
    return f"{COOKIE}=; {_ATTRIBUTES}; Max-Age=0"
