"""Base64url without padding (RFC 4648 §5, RFC 7515 §2).

Through `binascii` itself: the functions of `base64` take twice as long.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


def encode(raw: bytes) -> bytes:
    """The one canonical spelling of these bytes."""
    return b2a_base64(raw, newline=False).translate(_TO_URL, b"=")


def decode(text: str) -> bytes:
    """The bytes of a text in base64url. Raises ValueError.

    Characters outside the alphabet are skipped, and other spellings are not refused:
    where that matters, the caller checks the shape or compares with `encode`.
    """
    return a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"==")
