"""The cookie that binds the second step of a sign-in to the browser that began it.

A continuation that is taken out of the answer of one browser is of no use in another.
The value is random and stands in the sealed continuation. A browser that has one keeps
it, so that sign-ins in two tabs do not make void each other's.

It is of the calls in JSON, whose page keeps the continuation itself. Our own pages keep
it in a cookie (`page_cookies.py`), which is Lax: the link of a mail has to find it.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from watchword.clocks import Entropy
from watchword.core import base64url
from watchword.core.limits import CONTINUATION_LIFE, SECOND
from watchword.errors import InvalidRequest
from watchword.server.cookies import cookies_named

CONTINUATION_COOKIE: Final = "__Host-watchword-continuation"

_RAW_NAME: Final = CONTINUATION_COOKIE.encode()
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"
_BYTES: Final = 32
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def continuation_cookie(request: Request) -> str:
    """The value that came, or ``""``.

    Raises InvalidRequest for two cookies of that name: another site has set one of
    them.
    """
    found = cookies_named(request, _RAW_NAME)
    if len(found) > 1:
        raise InvalidRequest(f"The cookie {CONTINUATION_COOKIE} came twice.")
    return found[0] if found and _VALUE.fullmatch(found[0]) else ""


def browser_of(request: Request, entropy: Entropy) -> str:
    """What this browser is known by in a continuation that begins now.

    Raises InvalidRequest.
    """
    return continuation_cookie(request) or base64url.encode(entropy(_BYTES)).decode()


def set_continuation_cookie(value: str) -> str:
    """`Set-Cookie` for as long as the continuation works."""
    age = CONTINUATION_LIFE // SECOND
    return f"{CONTINUATION_COOKIE}={value}; {_ATTRIBUTES}; Max-Age={age}"


def drop_continuation_cookie() -> str:
    """`Set-Cookie` that deletes the cookie."""
    return f"{CONTINUATION_COOKIE}=; {_ATTRIBUTES}; Max-Age=0"
