"""Time-based one-time passwords (RFC 6238): SHA-1, six digits, 30 seconds."""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final
from urllib.parse import quote, urlencode

from watchword.core import limits

_DIGITS: Final = 6
_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)


def code_at(secret: bytes, step: int) -> str:
    """The code of that step (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8), "sha1")
    at = digest[-1] & 0x0F
    number = int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def matching_step(secret: bytes, code: str, now: int, drift: int) -> int | None:
    """The latest step among those from `drift` steps ago until now with that code.

    `now` is in milliseconds. Codes are compared in constant time. Spaces are ignored;
    None for text that is no code.
    """
    shown = "".join(code.split())
    if _CODE.fullmatch(shown) is None:
        return None
    current = now // limits.TOTP_STEP
    found = None
    # Every step is looked at. Where two have the same code, the later one counts: it is
    # spent, and the earlier one with it.
    for step in range(max(current - drift, 0), current + 1):
        if hmac.compare_digest(code_at(secret, step), shown):
            found = step
    return found


def in_base32(secret: bytes) -> str:
    """The secret as users type it into an app: base32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, *, issuer: str, name: str) -> str:
    """The `otpauth:` URI that authenticator apps read from a QR code.

    A colon separates issuer and name, so that neither may contain one.
    """
    issuer, name = (text.replace(":", " ") for text in (issuer, name))
    label = quote(f"{issuer}:{name}", safe=":")
    query = {
        "secret": in_base32(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": _DIGITS,
        "period": limits.TOTP_STEP // limits.SECOND,
    }
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}"
