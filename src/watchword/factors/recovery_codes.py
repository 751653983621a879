"""Recovery codes: ten at a time, 24 characters of Crockford's base32 (120 bits)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.ports.credentials import Credential, CredentialKind

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 24
_GROUP: Final = 4
_BYTES: Final = _LENGTH * 5 // 8
_ID: Final = 16
_SHAPE: Final = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}", re.ASCII)
# What is read for another letter, by eye or ear, and what is there for the eye alone.
_READ_AS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


class RecoveryCodes:
    """Makes recovery codes, and finds the row of one."""

    def __init__(self, *, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def make(self, account_id: bytes) -> tuple[tuple[str, ...], list[Credential]]:
        """Ten codes as they are shown, once, and their rows.

        A code is shown in six groups of four; spaces, hyphens and case do not matter.
        """
        codes = [_code(self._entropy(_BYTES)) for _ in range(limits.RECOVERY_CODES)]
        now = self._clock()
        rows = [
            Credential(
                id=self._entropy(_ID),
                account_id=account_id,
                kind=CredentialKind.RECOVERY_CODE,
                created_at=now,
                key=_hash(code),
            )
            for code in codes
        ]
        return tuple(_grouped(code) for code in codes), rows

    def find(self, rows: Sequence[Credential], code: str) -> Credential | None:
        """The row of that code among those of one user; None for any other text."""
        shown = _normalised(code)
        if shown is None:
            return None
        key = _hash(shown)
        found = None
        for row in rows:
            is_code = row.kind is CredentialKind.RECOVERY_CODE
            if is_code and hmac.compare_digest(row.key, key):
                found = row
        return found


def _code(randomness: bytes) -> str:
    number = int.from_bytes(randomness)
    return "".join(
        _ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH))
    )


def _grouped(code: str) -> str:
    return "-".join(code[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def _normalised(text: str) -> str | None:
    """The one spelling of a code; None for a text that is none."""
    if not text.isascii():  # some other letters have capitals that are ASCII
        return None
    code = "".join(text.split()).upper().translate(_READ_AS)
    return code if _SHAPE.fullmatch(code) else None


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
