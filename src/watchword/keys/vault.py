"""Signing keys at rest: AES-256-GCM under keys derived from the server secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchword.clocks import Entropy
from watchword.errors import KeyRingError
from watchword.keys.signing import SigningKey
from watchword.ports.keys import KeyState, KeyUse, SealedKey

_NONCE: Final = 12


def derive(secret: bytes, label: str) -> bytes:
    """A 32-byte key for one purpose from the server secret (HKDF, RFC 5869)."""
    info = f"watchword/{label}".encode()
    return HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


class Vault:
    """Seals private keys with AES-256-GCM, bound to their id and algorithm.

    The first secret seals, all of them unseal. `fingerprints` has one for each, in
    order. A fingerprint is 32 bits: enough to compare two machines by, and too few to
    learn anything about the secret.
    """

    def __init__(self, secrets: Sequence[bytes], entropy: Entropy) -> None:
        self.fingerprints = tuple(derive(s, "fingerprint")[:4].hex() for s in secrets)
        self._keys = [AESGCM(derive(secret, "signing-keys")) for secret in secrets]
        self._entropy = entropy

    def seal(
        self,
        key: SigningKey,
        state: KeyState,
        now: int,
        use: KeyUse = KeyUse.ACCESS_TOKEN,
    ) -> SealedKey:
        """The sealed key, as a store keeps it."""
        nonce = self._entropy(_NONCE)
        bound = f"{key.kid}\0{key.alg}".encode()
        sealed = nonce + self._keys[0].encrypt(nonce, key.private_bytes(), bound)
        return SealedKey(key.kid, key.alg, state, sealed, now, use)

    def open(self, row: SealedKey) -> tuple[SigningKey, int]:
        """The key, and the index of the secret that it is sealed under.

        Raises KeyRingError where no secret opens it, or where its id is not its own.
        """
        bound = f"{row.kid}\0{row.alg}".encode()
        for position, key in enumerate(self._keys):
            try:
                raw = key.decrypt(row.sealed[:_NONCE], row.sealed[_NONCE:], bound)
                # Nothing but this vault can have sealed it, and to look for primes
                # again takes 130 ms for 3072 bits, with the event loop waiting.
                private = serialization.load_der_private_key(
                    raw, None, unsafe_skip_rsa_key_validation=True
                )
            except (InvalidTag, ValueError):
                continue
            opened = SigningKey(private, row.alg)  # type: ignore[arg-type]  # sealed by us
            if opened.kid == row.kid:
                return opened, position
        message = (
            f"signing key {row.kid} cannot be unsealed: the secret that this store was "
            "made with, or that another process has sealed it under since, is not in "
            "WATCHWORD_SECRET, or the row was altered"
        )
        raise KeyRingError(message)
