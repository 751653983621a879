"""DPoP proofs for the load generator, as cheap as a client can make them.

Owns one P-256 key per session, derived from the session's number: whoever signs in and
whoever refreshes later, in another process, hold the same one. The header of a key is
built once; what is left is a signature and little else.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ALGORITHM: Final = ec.ECDSA(SHA256())
SIZE: Final = 32
# Any will do: the keys protect nothing, and must only be different.
FIRST: Final = 0xBE2C_0000_0001


def base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


class Prover:
    """The key of one session, for requests to one URL."""

    def __init__(self, number: int, method: str, url: str) -> None:
        self.key = ec.derive_private_key(FIRST + number, ec.SECP256R1())
        public = self.key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url(public.x.to_bytes(SIZE)).decode(),
            "y": base64url(public.y.to_bytes(SIZE)).decode(),
        }
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        self.head = base64url(msgspec.json.encode(head)) + b"."
        self.body = f'{{"htm":"{method}","htu":"{url}"'.encode()
        self.ready: list[bytes] = []

    def stock_up(self, nonce: bytes, count: int) -> None:
        """Make proofs ahead: good as long as the nonce is, which is minutes."""
        self.ready += [self._made(nonce) for _ in range(count)]

    def prove(self, nonce: bytes) -> bytes:
        """A proof that was not sent yet; without `nonce` for who has none."""
        return self.ready.pop() if self.ready else self._made(nonce)

    def _made(self, nonce: bytes) -> bytes:
        body = b'%s,"iat":%d,"jti":"%s"' % (
            self.body,
            time.time(),
            os.urandom(12).hex().encode(),
        )
        if nonce:
            body += b',"nonce":"%s"' % nonce
        signed = self.head + base64url(body + b"}")
        r, s = decode_dss_signature(self.key.sign(signed, ALGORITHM))
        return b"%s.%s" % (signed, base64url(r.to_bytes(SIZE) + s.to_bytes(SIZE)))
