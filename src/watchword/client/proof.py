"""DPoP proofs, as a client makes them (RFC 9449 §4.2): ES256, one for each request.

This module owns the key and the newest nonce of each place. The endpoints that issue
tokens are one place and every API is another, even where both are at the same origin
(RFC 9449 §9).
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from watchword.client.clock import Clocks, Random
from watchword.errors import SettingsError

_P256_BYTES: Final = 32
_ES256: Final = ec.ECDSA(hashes.SHA256())
Key = ec.EllipticCurvePrivateKey
ISSUER: Final = ""
"""The place of the endpoints that issue tokens."""


class Prover:
    """Makes proofs with a client's key, which may be in hardware and never leave it."""

    def __init__(self, key: Key, clocks: Clocks, random: Random) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise SettingsError(["dpop: the key must be on the curve P-256"])
        self._key = key
        self._clocks = clocks
        self._random = random
        self._nonces: dict[str, str] = {}
        numbers = key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": _b64(numbers.x.to_bytes(_P256_BYTES)),
            "y": _b64(numbers.y.to_bytes(_P256_BYTES)),
        }
        self._head = _part({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})
        # RFC 7638 §3: the required members, in order of their names.
        members = json.dumps(jwk, separators=(",", ":"), sort_keys=True)
        self.thumbprint: Final = _b64(hashlib.sha256(members.encode()).digest())

    def headers(
        self,
        method: str,
        url: str,
        place: str = ISSUER,
        access_token: str | None = None,
    ) -> dict[str, str]:
        """The header with the proof for one request.

        `url` is without query and fragment.
        """
        claims: dict[str, Any] = {
            "jti": self._random.text(),
            "htm": method,
            "htu": url,
            "iat": int(self._clocks.wall()),
        }
        if place in self._nonces:
            claims["nonce"] = self._nonces[place]
        if access_token is not None:
            claims["ath"] = _b64(hashlib.sha256(access_token.encode()).digest())
        text = f"{self._head}.{_part(claims)}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), _ES256))
        signature = r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)
        return {"DPoP": f"{text}.{_b64(signature)}"}

    def note(self, nonce: str | None, place: str = ISSUER) -> None:
        """Remember the newest nonce of a place. None leaves the known one."""
        if nonce is not None:
            self._nonces[place] = nonce


def new_key() -> Key:
    """A new key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: Key) -> str:
    """The key as the token file has it: PKCS #8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def from_pem(text: str) -> Key:
    """The key in a PEM text. Raises ValueError where the text is not an EC key."""
    key = serialization.load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError  # noqa: TRY004 - the text is wrong, not its type
    return key


def _part(content: dict[str, Any]) -> str:
    return _b64(json.dumps(content, separators=(",", ":")).encode())


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
