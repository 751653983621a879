"""Errors of accounts: their names, addresses, passwords and registration."""

from __future__ import annotations

from enum import StrEnum

from watchword.errors.requests import InvalidRequest
from watchword.errors.root import WatchwordError


class EmailInvalid(InvalidRequest):
    """That is no mail address which this server can send to."""

    code = "email_invalid"
    message = "This is not a mail address that can be used here."


class NameInvalid(InvalidRequest):
    """A user name that a user cannot choose: other characters, or a reserved word."""

    code = "name_invalid"
    message = (
        "A user name is of the letters a to z, digits, dot, underline and hyphen, "
        "and no reserved word."
    )


class RegistrationRefused(WatchwordError):
    """The app's own check, `before_registration`, did not let the user register."""

    code = "registration_refused"
    message = "This registration was refused."


class NameTaken(WatchwordError):
    """An account of that (normalised) name, or a client of that id, exists."""

    code = "name_taken"
    message = "An account of that name exists."


class EmailTaken(WatchwordError):
    """Another account has that address, or can still get it back.

    Raised only for a caller that has proved to read the mail of the address, or that
    acts for an operator: to others the answer never says it.
    """

    code = "email_taken"
    message = "An account of that address exists."


class LastAdmin(WatchwordError):
    """The last enabled account of the admin role (`WATCHWORD_ADMIN_ROLE`) stays so.

    It can neither be deleted nor disabled, nor lose the role. Without it, other
    accounts could be managed on the server's machine alone.
    """

    code = "last_admin"
    message = "This is the last account with the admin role: make another one first."


class LastFactor(WatchwordError):
    """The last second factor that the policy demands, or the user's last way in."""

    code = "last_factor"
    message = "This is the last factor that the sign-in needs: add another one first."


class ConfirmationInvalid(WatchwordError):
    """A one-time token that is unknown, used, expired or for something else.

    The error never says which.
    """

    code = "confirmation_invalid"
    message = "This link was used or has run out. If you confirmed already, sign in."


class PasswordFault(StrEnum):
    """What is wrong with a new password, for programs with words of their own."""

    SHORT = "short"
    LONG = "long"
    NO_TEXT = "no_text"
    IS_NAME = "is_name"
    COMMON = "common"
    LEAKED = "leaked"
    OTHER = "other"


class PasswordRejected(WatchwordError):
    """A new password is too short, too long or too common; the message says which.

    So does `fault`, in one word: `short`, `long`, `no_text`, `is_name`, `common`,
    `leaked` or `other`. `limit` is the number of characters that is asked for, if it is
    about that.
    """

    code = "password_rejected"
    message = "This password cannot be used."

    def __init__(
        self,
        message: str | None = None,
        *,
        fault: PasswordFault = PasswordFault.OTHER,
        limit: int = 0,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.limit = limit
