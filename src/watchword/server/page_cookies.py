"""Cookies of our pages, besides those of their forms and of the sign-in.

`__Host-watchword-registrations`  the handles of registrations that this browser began
`__Host-watchword-notice`         what was just done, for the next page to say
`__Host-watchword-step`           the ticket between the two steps of a sign-in
`__Host-watchword-interaction`    the browser that a client's request belongs to
`__Host-watchword-waiting`        the interaction that a message leads back to

They are Lax, because a link in a message must find them: with Strict a browser would
not send them after a click in another site's mailbox.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, TypeVar

from starlette.requests import Request

from watchword.clocks import Entropy
from watchword.core import base64url
from watchword.core.limits import (
    CONTINUATION_LIFE,
    INTERACTION_LIFE,
    REGISTRATION_LIFE,
    SECOND,
)
from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.cookies import cookies_named
from watchword.server.parsing import only_looks

HANDLES_COOKIE: Final = "__Host-watchword-registrations"
NOTICE_COOKIE: Final = "__Host-watchword-notice"
STEP_COOKIE: Final = "__Host-watchword-step"
INTERACTION_COOKIE: Final = "__Host-watchword-interaction"
WAITING_COOKIE: Final = "__Host-watchword-waiting"

HANDLES_MAX: Final = 8
"""Registrations of one browser: a later one takes the place of the oldest."""

_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_HANDLE: Final = re.compile(r"ww_rg_[A-Za-z0-9_-]{1,64}", re.ASCII)
_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)  # base64url
_BROWSER_BYTES: Final = 16
_WAITING_MAX: Final = 4_000  # of 4,096 with the name (RFC 6265bis)
_NOTICE_SECONDS: Final = 60
_COUNT_MAX: Final = 6  # digits

Notice = TypeVar("Notice", bound=StrEnum)


def handles_in(request: Request) -> tuple[str, ...]:
    """The handles of the registrations that this browser began, the oldest first."""
    found = _one(request, HANDLES_COOKIE).split(".")
    return tuple(one for one in found if _HANDLE.fullmatch(one))[-HANDLES_MAX:]


def add_handle(request: Request, handle: str) -> str:
    """`Set-Cookie` that keeps this handle too, for as long as its link works."""
    kept = [one for one in handles_in(request) if one != handle]
    value = ".".join([*kept, handle][-HANDLES_MAX:])
    return _set(HANDLES_COOKIE, value, REGISTRATION_LIFE // SECOND)


def set_notice(notice: StrEnum, count: int = 0) -> str:
    """`Set-Cookie` for the notice that the next page begins with.

    A parameter in its address would let any link show one.
    """
    value = f"{type(notice).__name__}.{notice}.{count}"
    return _set(NOTICE_COOKIE, value, _NOTICE_SECONDS)


def notice_in(request: Request, kind: type[Notice]) -> tuple[Notice | None, int]:
    """The notice of that kind, and its number; None if there is none."""
    name, _, rest = _one(request, NOTICE_COOKIE).partition(".")
    value, _, digits = rest.partition(".")
    is_count = digits.isascii() and digits.isdigit() and len(digits) <= _COUNT_MAX
    if name != kind.__name__ or value not in set(kind) or not is_count:
        return None, 0
    return kind(value), int(digits)


def drop_notice(request: Request) -> tuple[str, ...]:
    """`Set-Cookie` that deletes the notice, which was shown; none for a prefetch."""
    return () if only_looks(request) else (_set(NOTICE_COOKIE, "", 0),)


def set_step(continuation: str) -> str:
    """`Set-Cookie` that keeps the ticket of a sign-in for as long as it works."""
    return _set(STEP_COOKIE, continuation, CONTINUATION_LIFE // SECOND)


def step_in(request: Request) -> str:
    """The ticket of the sign-in that this browser has begun, or ``""``."""
    return _one(request, STEP_COOKIE)


def drop_step() -> str:
    """`Set-Cookie` that deletes the ticket."""
    return _set(STEP_COOKIE, "", 0)


def browser_in(request: Request) -> str:
    """What the interactions of this browser are bound to, or ``""``."""
    found = _one(request, INTERACTION_COOKIE)
    return found if _BROWSER.fullmatch(found) else ""


def new_browser(entropy: Entropy) -> str:
    """The value for a browser that has none."""
    return base64url.encode(entropy(_BROWSER_BYTES)).decode()


def keep_browser(value: str) -> str:
    """`Set-Cookie` that keeps it for as long as an interaction lasts.

    A later interaction sets the same again: a second tab keeps the first one alive.
    """
    return _set(INTERACTION_COOKIE, value, INTERACTION_LIFE // SECOND)


def keep_interaction(ticket: str) -> tuple[str, ...]:
    """`Set-Cookie` for a user that goes on by a message: its link has no interaction.

    The longest ones fit in no cookie; then the user ends at the account page.
    """
    if len(ticket) > _WAITING_MAX:
        return ()
    return (_set(WAITING_COOKIE, ticket, INTERACTION_LIFE // SECOND),)


def kept_interaction(request: Request) -> str:
    """The interaction that a message leads back to, or ``""``."""
    if is_at_admin_listener(request):  # the browser has it for the main one
        return ""
    return _one(request, WAITING_COOKIE)


def drop_interaction() -> str:
    """`Set-Cookie` that forgets it."""
    return _set(WAITING_COOKIE, "", 0)


def _one(request: Request, name: str) -> str:
    # Of two cookies of a name another site has set one: neither is believed.
    found = cookies_named(request, name.encode())
    return found[0] if len(found) == 1 else ""


def _set(name: str, value: str, seconds: int) -> str:
    return f"{name}={value}; {_ATTRIBUTES}; Max-Age={seconds}"
