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
    ACCOUNT_CHANGED = "account_changed"
    ADDRESS_ASKED = "address_asked"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_DELETED = "account_deleted"
    RESET_SENT = "reset_sent"
    FACTORS_RESET = "factors_reset"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    CLIENT_ADDED = "client_added"
    CLIENT_CHANGED = "client_changed"
    CLIENT_DISABLED = "client_disabled"
    CLIENT_ENABLED = "client_enabled"
    KEY_ROTATED = "key_rotated"
    KEY_RETIRED = "key_retired"
    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    TEST_SENT = "test_sent"
    WEBHOOK_DISABLED = "webhook_disabled"
    WEBHOOK_ENABLED = "webhook_enabled"
    WEBHOOK_REMOVED = "webhook_removed"
    DELIVERIES_DUE = "deliveries_due"


_WORDS: Final[dict[ConsoleNotice, str | tuple[str, str]]] = {
    ConsoleNotice.STALE: "Nothing was changed: the page was open for too long. "
    "Try again.",
    ConsoleNotice.CHANGED_MEANWHILE: "Nothing was changed: this is not what you saw "
    "any more. Look at it as it is now, and try again.",
    ConsoleNotice.LAST_ADMIN: "Nothing was changed: this is the last account that can "
    "administer the server. Give another one the role first.",
    ConsoleNotice.GONE: "Nothing was changed: it is not there any more.",
    ConsoleNotice.SESSIONS_ENDED: ("One session ended.", "{count} sessions ended."),
    ConsoleNotice.ACCOUNT_CHANGED: "The account is changed.",
    ConsoleNotice.ADDRESS_ASKED: "The account is changed, but for its address: a "
    "message asks the new one first.",
    ConsoleNotice.ACCOUNT_DISABLED: (
        "The account is disabled, and one session ended.",
        "The account is disabled, and {count} sessions ended.",
    ),
    ConsoleNotice.ACCOUNT_ENABLED: "The account is enabled: it can sign in again.",
    ConsoleNotice.ACCOUNT_DELETED: (
        "The account is deleted, and one session ended.",
        "The account is deleted, and {count} sessions ended.",
    ),
    ConsoleNotice.RESET_SENT: "A message with a link for a new password is on its way.",
    ConsoleNotice.FACTORS_RESET: (
        "One second factor is removed, and all sessions ended.",
        "{count} second factors are removed, and all sessions ended.",
    ),
    ConsoleNotice.CONSENT_WITHDRAWN: (
        "The app may do nothing any more, and one session of it ended.",
        "The app may do nothing any more, and {count} sessions of it ended.",
    ),
    ConsoleNotice.CLIENT_ADDED: "The client is added.",
    ConsoleNotice.CLIENT_CHANGED: "The client is changed.",
    ConsoleNotice.CLIENT_DISABLED: (
        "The client is disabled, and one session of it ended.",
        "The client is disabled, and {count} sessions of it ended.",
    ),
    ConsoleNotice.CLIENT_ENABLED: "The client is enabled.",
    ConsoleNotice.KEY_ROTATED: "The next key signs from now on. The one before is "
    "published until the last token that it signed has expired.",
    ConsoleNotice.KEY_RETIRED: "The key is retired: tokens that it signed are refused.",
    ConsoleNotice.INVITED: "The invitation is on its way.",
    ConsoleNotice.INVITATION_WITHDRAWN: "The invitation is withdrawn: its link does "
    "nothing any more.",
    ConsoleNotice.TEST_SENT: "The test message was handed over.",
    ConsoleNotice.WEBHOOK_DISABLED: "The webhook is disabled. What happens from now on "
    "is not sent to it.",
    ConsoleNotice.WEBHOOK_ENABLED: "The webhook is enabled. It hears of what happens "
    "from now on.",
    ConsoleNotice.WEBHOOK_REMOVED: "The webhook is removed.",
    ConsoleNotice.DELIVERIES_DUE: (
        "One delivery is tried again now.",
        "{count} deliveries are tried again now.",
    ),
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
