"""Tokens that travel by mail and work once: `ww_cf_` and 34 bytes in base64url.

    version 1 | purpose 1 | secret 32

The secret is random, and a store has the SHA-256 of the whole token. So neither the
server secret nor the database yields one. The purpose is there for the page that a link
leads to: it knows what to ask for. The row in the store decides what a token is for.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Final

from watchword.core import base64url, limits

PREFIX: Final = "ww_cf_"
_VERSION: Final = 1
# 34 bytes are 46 characters, of which the last has four bits that mean nothing: the
# token is compared with its one spelling.
_SHAPE: Final = re.compile(r"ww_cf_([A-Za-z0-9_-]{46})\Z", re.ASCII)


class TokenPurpose(StrEnum):
    """What a one-time token is for."""

    REGISTRATION = "registration"
    INVITATION = "invitation"
    RESET = "reset"
    EMAIL = "email"
    REVERT = "revert"
    ENROL = "enrol"


# The byte in tokens: never given to another purpose.
_CODES: Final = {
    TokenPurpose.REGISTRATION: 1,
    TokenPurpose.INVITATION: 2,
    TokenPurpose.RESET: 3,
    TokenPurpose.EMAIL: 4,
    TokenPurpose.REVERT: 5,
    TokenPurpose.ENROL: 6,
}
LIVES: Final = {
    TokenPurpose.REGISTRATION: limits.REGISTRATION_LIFE,
    TokenPurpose.INVITATION: limits.INVITATION_LIFE,
    TokenPurpose.RESET: limits.RESET_LIFE,
    TokenPurpose.EMAIL: limits.ADDRESS_LIFE,
    TokenPurpose.REVERT: limits.REVERT_LIFE,
    TokenPurpose.ENROL: limits.ENROL_LIFE,
}
"""How long a token of each purpose works, in milliseconds."""

_PURPOSES: Final = {code: purpose for purpose, code in _CODES.items()}


def mint(purpose: TokenPurpose, secret: bytes) -> str:
    """The token for that purpose from 32 random bytes."""
    raw = bytes([_VERSION, _CODES[purpose]]) + secret
    return PREFIX + base64url.encode(raw).decode()


def read(token: str) -> tuple[TokenPurpose, bytes] | None:
    """What a token is for, and its hash as a store has it; None if it is no token."""
    shape = _SHAPE.match(token)
    if shape is None:
        return None
    raw = base64url.decode(shape[1])
    if raw[0] != _VERSION or raw[1] not in _PURPOSES:
        return None
    if base64url.encode(raw).decode() != shape[1]:
        return None
    return _PURPOSES[raw[1]], hash_of(token)


def hash_of(token: str) -> bytes:
    """SHA-256 of a token: the only form in which a store has it."""
    return hashlib.sha256(token.encode()).digest()
