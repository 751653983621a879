"""What was just done, or refused, for the next screen to say.

After a form the browser is sent to a screen by GET. The notice goes with it in a cookie
of a minute (`page_cookies.py`), as a word of this list and a number: so no link can
make a screen say anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from watchword import errors
from watchword.errors import WatchwordError


class ConsoleNotice(StrEnum):
    """What was done or refused. Each has its words below."""

    STALE = "stale"
    CHANGED_MEANWHILE = "changed_meanwhile"
    LAST_ADMIN = "last_admin"
    GONE = "gone"
    SESSIONS_ENDED = "sessions_ended"


_WORDS: Final[dict[ConsoleNotice, str | tuple[str, str]]] = {
    ConsoleNotice.STALE: "Nothing was changed: the page was open for too long. "
    "Try again.",
    ConsoleNotice.CHANGED_MEANWHILE: "Nothing was changed: this is not what you saw "
    "any more. Look at it as it is now, and try again.",
    ConsoleNotice.LAST_ADMIN: "Nothing was changed: this is the last account that can "
    "administer the server. Give another one the role first.",
    ConsoleNotice.GONE: "Nothing was changed: it is not there any more.",
    ConsoleNotice.SESSIONS_ENDED: ("One session ended.", "{count} sessions ended."),
}
"""A sentence, or one for the number 1 and one for others."""

REFUSED: Final[dict[type[WatchwordError], ConsoleNotice]] = {
    errors.CsrfRejected: ConsoleNotice.STALE,
    errors.VersionChanged: ConsoleNotice.CHANGED_MEANWHILE,
    errors.LastAdmin: ConsoleNotice.LAST_ADMIN,
    errors.NotFound: ConsoleNotice.GONE,
}
"""What an error of a form says, where its screen says nothing better."""


def words_of(notice: ConsoleNotice, count: int = 0) -> str:
    """The sentence."""
    words = _WORDS[notice]
    if isinstance(words, tuple):
        words = words[count != 1]
    return words.format(count=f"{count:,}")


def is_refusal(notice: ConsoleNotice) -> bool:
    """Whether it says that nothing was done."""
    return notice in REFUSED.values()
