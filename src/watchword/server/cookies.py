"""The session cookie of a browser, and who may use it.

The refresh token lies in a cookie that no script can read (RFC 6265bis, `__Host-`), so
the browser sends it whoever causes the request: every use of it needs a header that a
foreign page cannot set without a preflight, and an origin that is ours or allowed. No
error ever takes the cookie away: the answer may be late, and the jar hold a newer one.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from watchword.core.limits import COOKIE_MAX_AGE
from watchword.core.session import Grant
from watchword.errors import CsrfRejected, InvalidRequest
from watchword.server.openapi import COOKIE as NAME
from watchword.server.parsing import access_token, engine_of, one_header

CSRF_HEADER: Final = "X-Requested-With"
CLEAR_SITE_DATA: Final = '"cookies", "storage"'

_CSRF_NAME: Final = CSRF_HEADER.lower().encode()
_RAW_NAME: Final = NAME.encode()
# `__Host-` demands Secure, this path and no domain, or the browser drops the cookie.
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"


def is_by_cookie(request: Request) -> bool:
    """Whether the page said that it means the cookie, be there one or not."""
    return one_header(request, _CSRF_NAME) is not None


def token_in_cookie(request: Request) -> str | None:
    """The refresh token of the request's cookie, if there is one and it may be used.

    Raises CsrfRejected where another site may have caused the request, InvalidRequest
    for two cookies of that name: one of them was tossed in from elsewhere.
    """
    found = _cookies(request)
    if not found:
        return None
    if len(found) > 1:
        raise InvalidRequest(f"The cookie {NAME} came twice.")
    # Neither can be set by a foreign page without a preflight that we refuse. (Basic
    # could: a browser that has kept a password sends that by itself.)
    if not is_by_cookie(request) and access_token(request) is None:
        raise CsrfRejected
    check_origin(request)
    return found[0]


def token_to_replace(request: Request) -> str:
    """The refresh token of a session that a new sign-in takes the place of, or ``""``.

    `check_origin` has been asked: a foreign page must not end the old session either.
    """
    found = _cookies(request)
    return found[0] if len(found) == 1 else ""


def _cookies(request: Request) -> list[str]:
    return [
        value.decode("latin-1")
        for name, line in request.scope["headers"]
        if name == b"cookie"
        for key, _, value in (pair.strip().partition(b"=") for pair in line.split(b";"))
        if key == _RAW_NAME
    ]


def check_origin(request: Request) -> None:
    """Raises CsrfRejected for a page of another origin that is not on the list.

    A browser says where a request comes from and lets no page forge it; who sends
    neither header is no browser, and nobody made it do this.
    """
    site = one_header(request, b"sec-fetch-site")
    if site == b"same-origin":
        return
    origin = one_header(request, b"origin")
    if site is None and origin is None:
        return
    settings = engine_of(request).settings
    ours = (_origin_of(settings.effective_issuer), *settings.cors_origins)
    if origin is None or origin.decode("latin-1") not in ours:
        raise CsrfRejected


def _origin_of(url: str) -> str:
    """The origin of a URL as browsers write it: in lower case, without usual port."""
    scheme, host, *_ = urlsplit(url.lower())
    usual = {"https": ":443", "http": ":80"}[scheme]
    return f"{scheme}://{host.removesuffix(usual)}"


def set_cookie(grant: Grant) -> str:
    """`Set-Cookie` for the grant's refresh token, kept as long as it works."""
    age = min(grant.refresh_expires_in, COOKIE_MAX_AGE // 1000)
    return f"{NAME}={grant.refresh_token}; {_ATTRIBUTES}; Max-Age={age}"


def drop_cookie() -> str:
    """`Set-Cookie` that takes it away."""
    return f"{NAME}=; {_ATTRIBUTES}; Max-Age=0"
