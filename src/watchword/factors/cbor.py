"""CBOR that authenticators send (CTAP 2.1 §8), looked at before it is parsed."""

from __future__ import annotations

from typing import Final

from watchword.errors import SecondFactorInvalid

# CBOR (RFC 8949 §3): a value from 24 on is in the next 1, 2, 4 or 8 bytes.
_LONG: Final = 24
_LONGEST: Final = 27
_TEXTS: Final = (2, 3)
_TAG: Final = 6

# Authenticator data (WebAuthn §6.1): hash 32, flags 1, counter 4; of what is attested
# AAGUID 16, length of the id 2, the id.
_FLAGS: Final = 32
_ATTESTED: Final = 0x40
_FIXED: Final = 37
_ID_LENGTH: Final = 53


def check(data: bytes) -> None:
    """Raises SecondFactorInvalid for a tag, or a length that is not definite.

    Authenticators send neither (CTAP 2.1 §8). The library's parser gives values to
    tags, and some of a few bytes cost it a second: a number with a large exponent.
    """
    at = 0
    while at < len(data):
        kind, size = divmod(data[at], 32)
        at += 1
        value = size
        if size >= _LONG:
            length = 1 << size - _LONG
            value = int.from_bytes(data[at : at + length])
            at += length
        if kind == _TAG or size > _LONGEST:
            raise SecondFactorInvalid
        if kind in _TEXTS:
            at += value


def within(data: bytes) -> bytes:
    """What authenticator data have in CBOR: a key, extensions or both.

    That is what stands behind the bytes of a fixed meaning.
    """
    if not data[_FLAGS] & _ATTESTED:
        return data[_FIXED:]
    before = _ID_LENGTH + 2
    return data[before + int.from_bytes(data[_ID_LENGTH:before]) :]
