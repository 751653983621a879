"""The forms of our pages, and that no other site sends them (ASVS 5.0 3.5.1).

A form is accepted if both of these hold:

1.  Its origin is ours, as far as the browser says. Browsers do since 2023, by
    `Sec-Fetch-Site`. Their `Origin` is no help in that case: it is `null` in the forms
    of a page that sends no referrer, as ours are (Fetch §3.2), and so it is refused
    where it comes alone.
2.  It has a token that belongs to the cookie `__Host-watchword-form`. A page of another
    site can neither read that token nor set that cookie.

The first alone would do for a signed-in user: that cookie is SameSite besides.
The second is for the pages before that. There no other cookie has to be there, so a
foreign page could sign the user in as another, register for them or ask for a
reset in their name. And it holds where something on the way strips the headers of the
first, which a program that is no browser leaves out too.

The cookie is random and lasts as long as the browser. It is Lax: with Strict it would
be missing after a click on the link of a message, and a new one would make void the
forms of all other tabs. The token needs no secret of the server, because it is made of
the cookie, which is unknown to all but this browser. It differs on each page, so that
the length of compressed pages tells nothing of it (BREACH).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec
from starlette.requests import Request

from watchword.clocks import Entropy
from watchword.core import base64url
from watchword.errors import CsrfRejected
from watchword.server.cookies import check_origin, cookies_named
from watchword.server.parsing import Form, read_form

FORM_COOKIE: Final = "__Host-watchword-form"
FIELD: Final = "form_token"

_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_BYTES: Final = 16
_COOKIE_LENGTH: Final = 22  # 16 bytes in base64url
_TOKEN_BYTES: Final = _BYTES + hashlib.sha256().digest_size


class FormToken(msgspec.Struct, frozen=True):
    """What a page with a form is sent with: its token, and a cookie if there is none.

    `set_cookie` is the value of `Set-Cookie`, or "" if the browser has the cookie.
    """

    token: str
    set_cookie: str = ""


def form_token(request: Request, entropy: Entropy) -> FormToken:
    """The token for the forms of the page that answers this request."""
    cookie, set_cookie = _cookie_of(request), ""
    if cookie is None:
        set_cookie = new_form_cookie(entropy)
        cookie = set_cookie.partition(";")[0].partition("=")[2]
    nonce = entropy(_BYTES)
    token = base64url.encode(nonce + _mac(cookie, nonce)).decode()
    return FormToken(token, set_cookie)


def new_form_cookie(entropy: Entropy) -> str:
    """`Set-Cookie` that makes void all forms which this browser has been shown so far.

    For a sign-in and a sign-out: a form that was open before them is not sent as
    another user.
    """
    return f"{FORM_COOKIE}={base64url.encode(entropy(_BYTES)).decode()}; {_ATTRIBUTES}"


async def read_page_form(request: Request) -> Form:
    """The form that one of our pages sent.

    Raises CsrfRejected for every other; InvalidRequest, UnsupportedMediaType,
    PayloadTooLarge as `read_form`.
    """
    form = await read_form(request)
    check_page_form(request, form)
    return form


def check_page_form(request: Request, form: Form) -> None:
    """Raise CsrfRejected if it is not of one of our pages."""
    check_origin(request, ours_alone=True)
    cookie, token = _cookie_of(request), form.get(FIELD)
    if cookie is None or token is None or not _belongs(token, cookie):
        raise CsrfRejected


def _belongs(token: str, cookie: str) -> bool:
    try:
        raw = base64url.decode(token)
    except ValueError:
        return False
    nonce, mac = raw[:_BYTES], raw[_BYTES:]
    return len(raw) == _TOKEN_BYTES and hmac.compare_digest(mac, _mac(cookie, nonce))


def _mac(cookie: str, nonce: bytes) -> bytes:
    return hmac.digest(cookie.encode(), nonce, "sha256")


def _cookie_of(request: Request) -> str | None:
    """The cookie, if it is one of ours: one alone, of the right length."""
    found = cookies_named(request, FORM_COOKIE.encode())
    is_ours = len(found) == 1 and len(found[0]) == _COOKIE_LENGTH
    return found[0] if is_ours else None
