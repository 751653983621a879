"""The opaque refresh token: `ww_rt_` and 57 bytes in base64url, 76 characters.

    version 1 | session id 16 | generation 4 | secret 20 | MAC 16

The MAC covers everything before it, under a key derived from the server secret: a
forged token costs one HMAC and no store access. The store has only SHA-256 of `secret`,
so a thief of the database cannot mint tokens. The successor of a token is computed from
the token itself, so a retry is answered without anything stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from watchword.core import base64url
from watchword.core.limits import MAC_BYTES, SECRET_BYTES, SESSION_ID_BYTES
from watchword.errors import RefreshInvalid

PREFIX: Final = "ww_rt_"
_VERSION: Final = b"\x01"
# Checked before decoding, because Python's decoder skips characters outside the
# alphabet; `\Z`, because `$` allows a newline. 57 bytes are 19 groups of three, so
# there is no padding and no second spelling of a token.
_SHAPE: Final = re.compile(r"ww_rt_([A-Za-z0-9_-]{76})\Z", re.ASCII)
_SESSION: Final = slice(1, 1 + SESSION_ID_BYTES)
_GENERATION: Final = slice(17, 21)
_SECRET: Final = slice(21, 21 + SECRET_BYTES)


class RefreshTokens:
    """Mints and reads refresh tokens under a list of MAC keys.

    The first key mints, all of them verify. So a new secret is introduced in two steps:
    first every process verifies with it, then one after the other mints with it.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Each HMAC is keyed once here and copied for each token. That costs half of
        # keying it anew.
        self._keys = [HMAC(key, SHA256()) for key in keys]

    def mint(self, session_id: bytes, generation: int, secret: bytes) -> str:
        """The token of one generation: the same bytes for the same arguments."""
        body = _VERSION + session_id + generation.to_bytes(4) + secret
        return PREFIX + base64url.encode(body + _mac(self._keys[0], body)).decode()

    def read(self, text: str) -> tuple[bytes, int, bytes]:
        """Session id, generation and secret of a token that this server minted.

        Raises RefreshInvalid for everything else, without a word on what was wrong.
        """
        shape = _SHAPE.match(text)
        if shape is None:
            raise RefreshInvalid
        raw = base64url.decode(shape[1])
        body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        for key in self._keys:
            if hmac.compare_digest(_mac(key, body), mac):
                break
        else:
            raise RefreshInvalid
        if raw[:1] != _VERSION:
            raise RefreshInvalid
        return raw[_SESSION], int.from_bytes(raw[_GENERATION]), raw[_SECRET]


def _mac(keyed: HMAC, body: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(body)
    return mac.finalize()[:MAC_BYTES]


def hash_of(secret: bytes) -> bytes:
    """SHA-256 of a session's secret: the only form in which the store has it."""
    return hashlib.sha256(secret).digest()
