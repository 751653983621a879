"""What a user name and a role may be, and what no password may be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from watchword.core import limits
from watchword.errors import InvalidRequest, NameInvalid

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties) outside category C.
# These letters and marks are not displayed, so two different names would look the same.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164"
    "\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_CHOSEN: Final = re.compile("[._-]*[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_PUNCTUATION: Final = re.compile("[._-]")
# Names that other users take for those of the operator or of a program, and mailboxes
# that certificates are issued by (RFC 2142; CA/Browser Forum Baseline Requirements
# §3.2.2.4.4).
_RESERVED: Final = frozenset(
    {
        *("abuse", "account", "accounts", "admin", "administrator", "admins", "all"),
        *("anonymous", "api", "auth", "billing", "contact", "daemon", "everyone"),
        *("guest", "help", "helpdesk", "hostmaster", "info", "login", "mail"),
        *("mailerdaemon", "me", "moderator", "noreply", "null", "official"),
        *("operator", "owner", "password", "postmaster", "register", "root"),
        *("security", "service", "settings", "signin", "signup", "staff", "support"),
        *("superuser", "sys", "sysadmin", "system", "undefined", "watchword"),
        *("webmaster", "www"),
    }
)

_CONTEXT: Final = "watchword"


def normalise_name(name: str) -> str:
    """The one spelling under which a name is stored, looked up and throttled.

    The name is normalised to NFKC, case-folded and stripped of blanks around it. Raises
    InvalidRequest for a name that is empty, too long, or has characters that cannot be
    seen.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    folded = unicodedata.normalize("NFKC", folded).strip()
    if not 0 < len(folded) <= limits.USER_NAME_MAX:
        message = f"A user name has 1 to {limits.USER_NAME_MAX} characters."
        raise InvalidRequest(message)
    if any(unicodedata.category(char)[0] == "C" for char in folded) or (
        _INVISIBLE.search(folded)
    ):
        message = "A user name cannot contain control or invisible characters."
        raise InvalidRequest(message)
    return folded


def chosen_name(name: str) -> str:
    """The one spelling of a name that a user chose. Raises NameInvalid.

    It has ASCII letters, digits, `.`, `_` and `-` alone. So no two names look alike,
    and none is a mail address: by that another user could sign in. Other users may take
    a reserved word for the operator, with and without dots and hyphens in it.
    """
    if (
        not _CHOSEN.fullmatch(name)
        or len(name) > limits.CHOSEN_NAME_MAX
        or _PUNCTUATION.sub("", name).lower() in _RESERVED
    ):
        raise NameInvalid
    return normalise_name(name)


def password_names(name: str | None, email: str | None = None) -> tuple[str, ...]:
    """What the password of an account must not equal, whatever its upper case."""
    before_at = None if email is None else email.partition("@")[0]
    return (*filter(None, (name, email, before_at)), _CONTEXT)


def checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """The roles without repetition, in the order given. Raises InvalidRequest."""
    found = tuple(dict.fromkeys(roles))
    if len(found) > limits.ROLES_MAX:
        message = f"An account has at most {limits.ROLES_MAX} roles."
        raise InvalidRequest(message)
    for role in found:
        if (
            not role
            or not role.isascii()
            or not role.isprintable()
            or (len(role) > limits.ROLE_MAX or set(role) & set(' "\\'))
        ):
            message = (
                f"A role is 1 to {limits.ROLE_MAX} visible ASCII characters without "
                "blank, quote or backslash."
            )
            raise InvalidRequest(message)
    return found
