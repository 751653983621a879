"""From what the engine refuses to what a page says at a field."""

from __future__ import annotations

from typing import Final

from watchword import errors
from watchword.errors import PasswordFault, WatchwordError
from watchword.server.pages.views import Fault, Reason

SECONDS_PER_MINUTE: Final = 60

_REASONS: Final[dict[type[WatchwordError], tuple[Reason, str]]] = {
    errors.EmailInvalid: (Reason.EMAIL, "email"),
    errors.EmailTaken: (Reason.EMAIL_TAKEN, "email"),
    errors.NameTaken: (Reason.NAME_TAKEN, "username"),
    errors.NameInvalid: (Reason.NAME, "username"),
    errors.RegistrationRefused: (Reason.REFUSED, ""),
    errors.LastAdmin: (Reason.LAST_ADMIN, ""),
    errors.LastFactor: (Reason.LAST_FACTOR, ""),
    errors.ContinuationExpired: (Reason.EXPIRED, ""),
    errors.ConfirmationInvalid: (Reason.LINK, "token"),
}
"""What each error says, and the field that it is usually about."""

_OF_PASSWORDS: Final = {
    PasswordFault.SHORT: Reason.PASSWORD_SHORT,
    PasswordFault.LONG: Reason.PASSWORD_LONG,
    PasswordFault.IS_NAME: Reason.PASSWORD_IS_NAME,
    PasswordFault.COMMON: Reason.PASSWORD_COMMON,
    PasswordFault.LEAKED: Reason.PASSWORD_LEAKED,
    PasswordFault.NO_TEXT: Reason.PASSWORD_COMMON,
    PasswordFault.OTHER: Reason.PASSWORD_COMMON,
}


CREDENTIALS: Final = Fault(Reason.CREDENTIALS, "username")
"""What a wrong name or password says, without saying which."""


def fault_of(
    error: WatchwordError, *fields: str, wrong: Fault = CREDENTIALS
) -> Fault | None:
    """What the page with these fields says; None for an error with a page of its own.

    `wrong` is for a wrong password or factor. That the page is too old, and that there
    were too many tries, belongs to no field.
    """
    if isinstance(error, errors.CsrfRejected):
        return Fault(Reason.STALE)
    if isinstance(error, errors.Throttled):
        return Fault(Reason.TRY_LATER, count=minutes_of(error.retry_after))
    if isinstance(error, errors.InvalidCredentials | errors.SecondFactorInvalid):
        return wrong
    count = 0
    if isinstance(error, errors.PasswordRejected):
        reason, field = _OF_PASSWORDS[error.fault], "password"
        count = error.limit
    elif type(error) in _REASONS:
        reason, field = _REASONS[type(error)]
    else:
        return None
    return Fault(reason, field if field in fields else "", count)


def minutes_of(seconds: int) -> int:
    """The minutes to wait, rounded up: never 0."""
    return max(1, -(-seconds // SECONDS_PER_MINUTE))
