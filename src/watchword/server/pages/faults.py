"""From what the engine refuses to what a page says at a field."""

from __future__ import annotations

from typing import Final

from watchword import errors
from watchword.errors import PasswordFault, WatchwordError
from watchword.server.pages.views import Fault, Reason

SECONDS_PER_MINUTE: Final = 60

_REASONS: Final[dict[type[WatchwordError], Reason]] = {
    errors.InvalidCredentials: Reason.CREDENTIALS,
    errors.NameTaken: Reason.NAME_TAKEN,
}
_OF_PASSWORDS: Final = {
    PasswordFault.SHORT: Reason.PASSWORD_SHORT,
    PasswordFault.LONG: Reason.PASSWORD_LONG,
    PasswordFault.IS_NAME: Reason.PASSWORD_IS_NAME,
    PasswordFault.COMMON: Reason.PASSWORD_COMMON,
    PasswordFault.LEAKED: Reason.PASSWORD_LEAKED,
    PasswordFault.NO_TEXT: Reason.PASSWORD_COMMON,
    PasswordFault.OTHER: Reason.PASSWORD_COMMON,
}


def fault_of(error: WatchwordError, field: str) -> Fault | None:
    """The error at that field; None for one that a page of its own is about.

    That the page is too old, and that there were too many tries, belongs to no field.
    """
    if isinstance(error, errors.CsrfRejected):
        return Fault(Reason.STALE)
    if isinstance(error, errors.Throttled):
        return Fault(Reason.TRY_LATER, count=minutes_of(error.retry_after))
    if isinstance(error, errors.PasswordRejected):
        return Fault(_OF_PASSWORDS[error.fault], field, error.limit)
    reason = _REASONS.get(type(error))
    return None if reason is None else Fault(reason, field)


def minutes_of(seconds: int) -> int:
    """The minutes to wait, rounded up: never 0."""
    return max(1, -(-seconds // SECONDS_PER_MINUTE))
