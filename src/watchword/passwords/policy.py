"""Which new passwords are refused: by length, as too common, as the user's own name.

No composition rules, no expiry, no hints (SP 800-63B-4 §3.1.1.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchword.errors import PasswordRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

# SP 800-63B-4 §3.1.1.2: 15 code points where the password is the only factor, and at
# least 64 accepted. The ceiling keeps a request small; longer ones are refused, since
# truncation would let two passwords open one account.
LENGTH_MIN: Final = 15
LENGTH_MAX: Final = 1024

# Below 10^8 guesses a password is on a list of common ones or follows its patterns
# (zxcvbn's own "somewhat guessable"); lists of the top 3000 (ASVS 5.0 6.2.4) lie below.
GUESSES_LOG10_MIN: Final = 8.0

# zxcvbn is more than quadratic: chosen input takes 3 s at 72 characters and 0.4 s here.
# A password whose first 32 characters are predictable is refused, whatever follows.
ESTIMATED_LENGTH: Final = 32


def encoded(password: str) -> bytes | None:
    """The bytes to hash, or None for what can be nobody's password.

    That is one over the ceiling, or one with a lone surrogate, which JSON can carry and
    UTF-8 cannot.
    """
    if len(password) > LENGTH_MAX:
        return None
    try:
        return password.encode()
    except UnicodeEncodeError:
        return None


def check_new_password(password: str, *, names: Iterable[str] = ()) -> None:
    """Raise PasswordRejected, saying why, unless the password may be set.

    ``names`` are words of the context that it must not equal: the user's name, the
    service's. Uses up to 0.4 s of CPU on chosen input: call it off the event loop.
    """
    if len(password) < LENGTH_MIN:
        raise PasswordRejected(f"Use at least {LENGTH_MIN} characters.")
    if len(password) > LENGTH_MAX:
        raise PasswordRejected(f"Use at most {LENGTH_MAX} characters.")
    if encoded(password) is None:
        raise PasswordRejected("This is not valid Unicode text.")
    if password.casefold() in {name.casefold() for name in names}:
        raise PasswordRejected("The password must differ from the name.")
    if _guesses_log10(password) < GUESSES_LOG10_MIN:
        raise PasswordRejected("This password is too common or too predictable.")


def _guesses_log10(password: str) -> float:
    # Imported here: its word lists take 40 ms and several MiB, and a server that never
    # sets a password needs none of it.
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # noqa: PLC0415

    return float(zxcvbn(password[:ESTIMATED_LENGTH])["guesses_log10"])
