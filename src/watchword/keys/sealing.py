"""Sealing of what rests in a store: AES-256-GCM under the server secrets.

    secret's name 8 | nonce 12 | ciphertext and tag

The name says which server secret sealed it: what a secret that is to go still holds can
be counted without opening it. Its first four bytes are the fingerprint that `watchword
keys secrets` shows. Signing keys are sealed by `vault`, in the form that they have had
since before there were names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.clocks import Entropy
from watchword.core import limits
from watchword.errors import KeyRingError
from watchword.keys.vault import derive

_NAME: Final = limits.SECRET_NAME_BYTES
_NONCE: Final = 12


class Sealing:
    """Seals and opens the contents of one table, which `label` names.

    The first secret seals, all of them open.
    """

    def __init__(self, secrets: Sequence[bytes], label: str, entropy: Entropy) -> None:
        self._keys = {
            derive(secret, "fingerprint")[:_NAME]: AESGCM(derive(secret, label))
            for secret in secrets
        }
        self._first = next(iter(self._keys))
        self._entropy = entropy

    @property
    def names(self) -> Sequence[bytes]:
        """The names of the secrets, as they stand in front of what they have sealed."""
        return tuple(self._keys)

    def seal(self, plain: bytes, row: bytes) -> bytes:
        """The sealed contents, bound to the id of their row."""
        nonce = self._entropy(_NONCE)
        sealed = self._keys[self._first].encrypt(nonce, plain, row)
        return self._first + nonce + sealed

    def open(self, sealed: bytes, row: bytes) -> bytes:
        """The contents of that row.

        Raises KeyRingError where the secret is not here, or where the row was altered.
        """
        name, nonce = sealed[:_NAME], sealed[_NAME : _NAME + _NONCE]
        key = self._keys.get(name)
        if key is None:
            message = (
                f"a row is sealed under the server secret {name[:4].hex()}, which is "
                "not in WATCHWORD_SECRET"
            )
            raise KeyRingError(message)
        try:
            return key.decrypt(nonce, sealed[_NAME + _NONCE :], row)
        except (InvalidTag, ValueError):
            message = "a sealed row cannot be opened: it was altered"
            raise KeyRingError(message) from None
