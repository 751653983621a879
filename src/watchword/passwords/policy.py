"""Which new passwords are refused: by length, as a name, as too common, as leaked.

There are no composition rules, no expiry and no hints (SP 800-63B-4 §3.1.1.2).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from watchword.errors import PasswordFault, PasswordRejected, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchword.passwords.breached import BreachedPasswords

# SP 800-63B-4 §3.1.1.2 asks for at least 15 code points where the password is the only
# factor, and that at least 64 are accepted. The ceiling keeps a request small. A longer
# password is refused, not truncated: otherwise two passwords would open one account.
LENGTH_MIN: Final = 15
LENGTH_MAX: Final = 1024

# A password that takes fewer than 10^8 guesses is on a list of common passwords or
# follows their patterns (zxcvbn calls that "somewhat guessable"). A list of the 3000
# most common ones, as ASVS 5.0 6.2.4 asks for, is below that.
GUESSES_LOG10_MIN: Final = 8.0

# The time of zxcvbn grows more than quadratically: chosen input takes 3 s at 72
# characters and 0.4 s at this length. A password with 32 predictable characters at its
# start is refused, whatever follows them.
ESTIMATED_LENGTH: Final = 32

_log = logging.getLogger("watchword.passwords")


def encoded(password: str) -> bytes | None:
    """The bytes to hash; None for text that cannot be the password of any account.

    That is text longer than LENGTH_MAX, or with a lone surrogate, which JSON can carry
    and UTF-8 cannot.
    """
    if len(password) > LENGTH_MAX:
        return None
    try:
        return password.encode()
    except UnicodeEncodeError:
        return None


def check_new_password(
    password: str,
    *,
    names: Iterable[str] = (),
    breached: BreachedPasswords | None = None,
) -> None:
    """Raise PasswordRejected, with the reason, unless the password may be set.

    ``names`` are words of the context that it must not equal: the user's name, the
    service's. Uses up to 0.4 s of CPU on chosen input, and reads the file of
    ``breached``: call it off the event loop. Raises StoreUnavailable where that file
    cannot be read.
    """
    if len(password) < LENGTH_MIN:
        message = f"Use at least {LENGTH_MIN} characters."
        raise PasswordRejected(message, fault=PasswordFault.SHORT, limit=LENGTH_MIN)
    if len(password) > LENGTH_MAX:
        message = f"Use at most {LENGTH_MAX} characters."
        raise PasswordRejected(message, fault=PasswordFault.LONG, limit=LENGTH_MAX)
    if encoded(password) is None:
        message = "This is not valid Unicode text."
        raise PasswordRejected(message, fault=PasswordFault.NO_TEXT)
    if password.casefold() in {name.casefold() for name in names}:
        message = "The password must differ from the name."
        raise PasswordRejected(message, fault=PasswordFault.IS_NAME)
    if _guesses_log10(password) < GUESSES_LOG10_MIN:
        message = "This password is too common or too predictable."
        raise PasswordRejected(message, fault=PasswordFault.COMMON)
    if breached is not None and _is_in(breached, password):
        message = "This password is known from a data breach."
        raise PasswordRejected(message, fault=PasswordFault.LEAKED)


def _is_in(breached: BreachedPasswords, password: str) -> bool:
    try:
        return breached.has(password)
    except (OSError, ValueError) as error:
        _log.exception("the file of breached passwords cannot be read")
        message = "New passwords cannot be checked right now: try again shortly."
        raise StoreUnavailable(message) from error


def _guesses_log10(password: str) -> float:
    # Imported only here: its word lists take 40 ms and several MiB, and a server that
    # never sets a password does not need them.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # noqa: PLC0415

    return float(zxcvbn(password[:ESTIMATED_LENGTH])["guesses_log10"])
