"""Signing keys: making one, and signing access tokens with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey

from watchword.core import base64url
from watchword.core.access_token import TYPE, Claims
from watchword.tokens.jose import PublicKey

Algorithm = Literal["ES256", "EdDSA", "RS256"]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

# NIST SP 800-57 part 1 rev. 5, table 2: 3072 bits for 128 bits of security.
RSA_BITS: Final = 3072
_ES256: Final = ec.ECDSA(hashes.SHA256())


class SigningKey:
    """An unsealed key: signs, and shows its public half."""

    def __init__(self, private: PrivateKey, alg: str) -> None:
        self.alg = alg
        self._private = private
        public = _jose_key(private)
        self.kid = public.thumbprint()
        self.public = PublicKey(self.kid, alg, public)
        # The headers never change, so their bytes are made once. The JOSE library is
        # not used to sign: there is no hostile input, and it would double the cost.
        self._heads: dict[str, bytes] = {}
        self._head = self._head_of(TYPE)

    def sign(self, claims: Claims, extra: Mapping[str, Any]) -> str:
        """The access token: a compact JWS (RFC 7515 §7.1) over the claims.

        `extra` are claims of an app; none of them can replace one of `claims`.
        """
        payload = {**extra, **msgspec.to_builtins(claims)} if extra else claims
        return self._compact(self._head, payload)

    def sign_as(self, typ: str, payload: object) -> str:
        """A JWT of another type, which no verifier accepts as an access token.

        `typ` is chosen by the program, never by a caller (RFC 8725 §3.11).
        """
        return self._compact(self._head_of(typ), payload)

    def _head_of(self, typ: str) -> bytes:
        head = self._heads.get(typ)
        if head is None:
            header = {"typ": typ, "alg": self.alg, "kid": self.kid}
            head = self._heads[typ] = (
                base64url.encode(msgspec.json.encode(header)) + b"."
            )
        return head

    def _compact(self, head: bytes, payload: object) -> str:
        text = head + base64url.encode(msgspec.json.encode(payload))
        return (text + b"." + base64url.encode(self._signature(text))).decode()

    def _signature(self, text: bytes) -> bytes:
        private: Any = self._private
        if self.alg == "ES256":
            # JOSE wants r and s one after the other, not in DER (RFC 7518 §3.4).
            r, s = decode_dss_signature(private.sign(text, _ES256))
            return bytes(r.to_bytes(32) + s.to_bytes(32))
        if self.alg == "EdDSA":
            return bytes(private.sign(text))
        return bytes(private.sign(text, padding.PKCS1v15(), hashes.SHA256()))

    def jwk(self) -> dict[str, Any]:
        """The public half as the JWKS shows it (RFC 7517 §4)."""
        return {
            **self.public.key.as_dict(private=False),
            "kid": self.kid,
            "use": "sig",
            "alg": self.alg,
        }

    def private_bytes(self) -> bytes:
        """The private key as PKCS #8 in DER. The caller has to seal it at once."""
        return self._private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def _jose_key(private: PrivateKey) -> ECKey | OKPKey | RSAKey:
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return ECKey.import_key(pem)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return OKPKey.import_key(pem)
    return RSAKey.import_key(pem)


def generate(alg: Algorithm) -> SigningKey:
    """A new key. Its randomness comes from the cryptographic library itself."""
    if alg == "ES256":
        return SigningKey(ec.generate_private_key(ec.SECP256R1()), alg)
    if alg == "EdDSA":
        return SigningKey(ed25519.Ed25519PrivateKey.generate(), alg)
    return SigningKey(rsa.generate_private_key(65537, RSA_BITS), alg)
