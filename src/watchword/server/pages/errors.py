"""The page for an error: what it means for the user, and what to pass on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from watchword.core.authorize import PageFault
from watchword.errors import InteractionExpired
from watchword.server.pages.faults import SECONDS_PER_MINUTE, minutes_of
from watchword.server.pages.views import ErrorPage, Trouble

_TROUBLES: Final[dict[int, Trouble]] = {
    HTTPStatus.FORBIDDEN: Trouble.REFUSED,
    HTTPStatus.NOT_FOUND: Trouble.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Trouble.TOO_MANY,
    HTTPStatus.SERVICE_UNAVAILABLE: Trouble.UNAVAILABLE,
}
_OF_CODES: Final[dict[str, Trouble]] = {
    InteractionExpired.code: Trouble.INTERACTION,
    PageFault.CLIENT: Trouble.CLIENT,
    PageFault.REDIRECT_URI: Trouble.REDIRECT_URI,
}


def error_page(code: str, status: int, retry_after: int, now: int) -> ErrorPage:
    """The page for an error that is answered by that code and status.

    `retry_after` is in seconds, `now` in milliseconds. A wait of less than a minute is
    not counted out: "a moment" is right for it.
    """
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    usual = Trouble.INTERNAL if is_ours else Trouble.MALFORMED
    trouble = _OF_CODES.get(code) or _TROUBLES.get(status, usual)
    return ErrorPage(
        trouble=trouble,
        code=code,
        at=now,
        minutes=0 if retry_after < SECONDS_PER_MINUTE else minutes_of(retry_after),
    )
