"""An authenticator in software: registers passkeys and signs, also what is forged.

It answers options as a browser's `toJSON()` does. Every part of an answer can be given
another value, so that a test names nothing but what it forges.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from fido2 import cbor
from fido2.cose import CoseKey

from watchword.core import base64url

EDDSA: Final = -8
ES256: Final = -7
RS256: Final = -257

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class Flags(IntFlag):
    """The flags of authenticator data (WebAuthn §6.1)."""

    PRESENT = 1
    VERIFIED = 4
    ELIGIBLE = 8
    BACKED_UP = 16
    ATTESTED = 64
    EXTENDED = 128


USED: Final = Flags.PRESENT | Flags.VERIFIED
SYNCED: Final = USED | Flags.ELIGIBLE | Flags.BACKED_UP


def text(raw: bytes) -> str:
    return base64url.encode(raw).decode()


def raw(spelled: str) -> bytes:
    return base64url.decode(spelled)


def new_key(alg: int) -> PrivateKey:
    if alg == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    if alg == RS256:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def cose_of(key: PrivateKey, alg: int) -> bytes:
    made = CoseKey.for_alg(alg).from_cryptography_key(key.public_key())
    return cbor.encode(dict(made))


def signed(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def client_data(kind: str, challenge: str, origin: str, **more: Any) -> bytes:
    """What a browser says of the page; `...` leaves a member out."""
    said: dict[str, Any] = {"type": kind, "challenge": challenge, "origin": origin}
    said |= {"crossOrigin": False, **more}
    return json.dumps({k: v for k, v in said.items() if v is not ...}).encode()


def authenticator_data(
    rp_id: str, flags: int, counter: int, attested: bytes = b""
) -> bytes:
    head = hashlib.sha256(rp_id.encode()).digest() + bytes([flags])
    return head + counter.to_bytes(4) + attested


@dataclass
class Authenticator:
    """One device, at pages of `origin`; with `synced` one of several of its owner.

    `counter` rises with each use where it has begun above zero.
    """

    origin: str = "http://localhost:8000"
    alg: int = ES256
    synced: bool = True
    counter: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""
    rp_id: str = ""

    def __post_init__(self) -> None:
        self.key = new_key(self.alg)

    @property
    def flags(self) -> Flags:
        return SYNCED if self.synced else USED

    def create(
        self,
        options: Mapping[str, Any],
        *,
        client: Mapping[str, Any] | None = None,
        rp_id: str | None = None,
        flags: int | None = None,
        attested: bytes | None = None,
        fmt: Any = "none",
        statement: Mapping[str, Any] | None = None,
        **response: Any,
    ) -> dict[str, Any]:
        """The answer to creation options. What is given takes the place of the truth.

        `client` are members of the client data, `response` of the answer's `response`.
        """
        self.rp_id = options["rp"]["id"]
        self.handle = raw(options["user"]["id"])
        said = {
            "kind": "webauthn.create",
            "challenge": options["challenge"],
            "origin": self.origin,
        }
        if attested is None:
            attested = self.attested()
        flags = self.flags | Flags.ATTESTED if flags is None else flags
        data = authenticator_data(
            self.rp_id if rp_id is None else rp_id, flags, self.counter, attested
        )
        made = {"fmt": fmt, "attStmt": dict(statement or {}), "authData": data}
        answer = {
            "clientDataJSON": text(client_data(**{**said, **(client or {})})),
            "attestationObject": text(cbor.encode(made)),
            "authenticatorData": text(data),
            "publicKeyAlgorithm": self.alg,
            "transports": ["internal", "hybrid"] if self.synced else ["usb", "nfc"],
        }
        return self._credential(answer | response)

    def attested(self, key: bytes | None = None, *, aaguid: bytes = bytes(16)) -> bytes:
        """The attested credential data of this passkey, with a COSE key."""
        key = cose_of(self.key, self.alg) if key is None else key
        return aaguid + len(self.id).to_bytes(2) + self.id + key

    def get(
        self,
        options: Mapping[str, Any],
        *,
        client: Mapping[str, Any] | None = None,
        rp_id: str | None = None,
        flags: int | None = None,
        counter: int | None = None,
        extensions: bytes = b"",
        **response: Any,
    ) -> dict[str, Any]:
        """The answer to request options, signed. See `create`."""
        if self.counter:
            self.counter += 1
        said = {
            "kind": "webauthn.get",
            "challenge": options["challenge"],
            "origin": self.origin,
        }
        said_in_bytes = client_data(**{**said, **(client or {})})
        data = authenticator_data(
            options["rpId"] if rp_id is None else rp_id,
            self.flags if flags is None else flags,
            self.counter if counter is None else counter,
            extensions,
        )
        signature = signed(self.key, data + hashlib.sha256(said_in_bytes).digest())
        answer = {
            "clientDataJSON": text(said_in_bytes),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": text(self.handle),
        }
        return self._credential(answer | response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": text(self.id),
            "rawId": text(self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform" if self.synced else "cross-platform",
            "clientExtensionResults": {},
            "response": response,
        }
