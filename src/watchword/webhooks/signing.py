"""Signatures and secrets of Standard Webhooks.

A webhook has a secret of 32 bytes for `v1` (HMAC-SHA256) and a key pair for `v1a`
(Ed25519): a receiver that has the public key alone can verify, and forge nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from watchword.clocks import Entropy
from watchword.core import limits
from watchword.keys.sealing import Sealing
from watchword.webhooks.verify import PUBLIC_KEY, SECRET

MESSAGE_ID: Final = "msg_"
"""What the `webhook-id` of a delivery begins with: its id in hexadecimal follows."""
_BYTES: Final = 32


class KeyPair(msgspec.Struct, frozen=True, array_like=True):
    """One generation of secrets: that of `v1`, and the private key of `v1a`."""

    secret: bytes
    private: bytes

    def shown_secret(self) -> str:
        """The secret as receivers take it."""
        return SECRET + _base64(self.secret)

    def public_key(self) -> str:
        """The public key as receivers take it."""
        return PUBLIC_KEY + _base64(self._key().public_key().public_bytes_raw())

    def signatures(self, signed: bytes) -> list[str]:
        """The signatures of these bytes, by version."""
        digest = hmac.new(self.secret, signed, hashlib.sha256).digest()
        return [f"v1,{_base64(digest)}", f"v1a,{_base64(self._key().sign(signed))}"]

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.private)


class SigningKeys(msgspec.Struct, frozen=True, array_like=True):
    """What a webhook signs by; the pair before signs too until `both_until` (ms)."""

    current: KeyPair
    before: KeyPair | None = None
    both_until: int = 0

    def rotated(self, entropy: Entropy, now: int) -> SigningKeys:
        """A new pair. The one until now goes on for WEBHOOK_SECRET_BOTH."""
        until = now + limits.WEBHOOK_SECRET_BOTH
        return SigningKeys(drawn(entropy), self.current, until)

    def headers(self, delivery_id: bytes, body: bytes, now: int) -> dict[str, str]:
        """The headers of a delivery that is sent at `now` (ms)."""
        message_id, timestamp = message_id_of(delivery_id), str(now // limits.SECOND)
        signed = f"{message_id}.{timestamp}.".encode() + body
        pairs = [self.current]
        if self.before is not None and now < self.both_until:
            pairs.append(self.before)
        signatures = [one for pair in pairs for one in pair.signatures(signed)]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signatures),
        }


def message_id_of(delivery_id: bytes) -> str:
    """The `webhook-id` of a delivery."""
    return MESSAGE_ID + delivery_id.hex()


def drawn(entropy: Entropy) -> KeyPair:
    """A new pair."""
    return KeyPair(entropy(_BYTES), entropy(_BYTES))


def seal_keys(keys: SigningKeys, sealing: Sealing, webhook_id: bytes) -> bytes:
    """The keys as they rest in the webhook's row."""
    return sealing.seal(msgspec.msgpack.encode(keys), webhook_id)


def open_keys(sealed: bytes, sealing: Sealing, webhook_id: bytes) -> SigningKeys:
    """The keys of that row. Raises KeyRingError."""
    opened = sealing.open(sealed, webhook_id)
    return msgspec.msgpack.decode(opened, type=SigningKeys)


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode()
