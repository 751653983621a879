"""Access tokens as an attacker, or a careless issuer, would make them."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from watchword.errors import WatchwordError
from watchword.keys.signing import SigningKey
from watchword.testing import ManualClock
from watchword.verify import Checker

ISSUER: Final = "https://auth.example"
AUDIENCE: Final = "api"
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Sign = Callable[[bytes], bytes]


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def nothing(_: bytes) -> bytes:
    """The signature of alg none."""
    return b""


def fixed(signature: bytes) -> Sign:
    """A signature that does not depend on what is signed."""
    return lambda _: signature


def mac(secret: bytes, digest: str = "sha256") -> Sign:
    """What an attacker makes who hopes that a public key is taken for a secret."""
    return lambda text: hmac.digest(secret, text, digest)


def ecdsa(
    private: Private,
    order: int = P256_ORDER,
    *,
    change: Callable[[int, int, int], tuple[int, int]] = lambda r, s, _: (r, s),
) -> Sign:
    """ES256, with r and s changed before they are written."""

    def sign(text: bytes) -> bytes:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        der = private.sign(text, ec.ECDSA(hashes.SHA256()))
        r, s = change(*decode_dss_signature(der), order)
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def rsa_pss(private: Private) -> Sign:
    assert isinstance(private, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return lambda text: private.sign(text, pss, hashes.SHA256())


class Mint:
    """Makes tokens of one key; every part of them can be made otherwise."""

    def __init__(
        self, private: Private, alg: str, *, now: int, sid: str = "s", sub: str = "u"
    ) -> None:
        self.private = private
        self.alg = alg
        self.key = SigningKey(private, alg)
        self.kid = self.key.kid
        seconds = now // 1000
        self._payload: dict[str, Any] = {
            "iss": ISSUER,
            "sub": sub,
            "aud": AUDIENCE,
            "exp": seconds + 120,
            "iat": seconds,
            "jti": "j",
            "client_id": "first-party",
            "auth_time": seconds,
            "sid": sid,
        }

    def clients_own(self, **changes: Any) -> str:
        """A token that a client got for itself: no session, no sign-in."""
        own = {"sub": "worker", "client_id": "worker", "sid": ..., "auth_time": ...}
        return self.with_claims(**(own | changes))

    def sign(self, text: bytes) -> bytes:
        return self.key._signature(text)

    def header(self, **changes: Any) -> dict[str, Any]:
        """The header, changed; `...` takes a member out."""
        made = {"typ": "at+jwt", "alg": self.alg, "kid": self.kid, **changes}
        return {name: value for name, value in made.items() if value is not ...}

    def payload(self, **changes: Any) -> dict[str, Any]:
        """The claims, changed; `...` takes one out."""
        made = self._payload | changes
        return {name: value for name, value in made.items() if value is not ...}

    def spelled(self, **texts: str) -> bytes:
        """The claims as JSON, some with their values written as given."""
        members = {name: json.dumps(value) for name, value in self._payload.items()}
        members |= texts
        inside = ",".join(f'"{name}":{text}' for name, text in members.items())
        return f"{{{inside}}}".encode()

    def token(
        self, header: Any = None, payload: Any = None, sign: Sign | None = None
    ) -> str:
        """A token of these parts, bytes as they are and the rest as JSON, signed."""
        head = self.header() if header is None else header
        body = self.payload() if payload is None else payload
        text = f"{b64(_bytes(head))}.{b64(_bytes(body))}"
        return f"{text}.{b64((sign or self.sign)(text.encode()))}"

    def with_header(self, **changes: Any) -> str:
        return self.token(header=self.header(**changes))

    def with_claims(self, **changes: Any) -> str:
        return self.token(payload=self.payload(**changes))

    def parts(self) -> tuple[str, str, str]:
        head, body, signature = self.token().split(".")
        return head, body, signature

    def public_forms(self) -> dict[str, bytes]:
        """The public key in every spelling that a program may take for a secret."""
        public = self.private.public_key()
        encodings = serialization.Encoding
        formats = serialization.PublicFormat
        spki = formats.SubjectPublicKeyInfo
        pem = public.public_bytes(encodings.PEM, spki)
        jwk = self.key.jwk()
        forms = {
            "PEM": pem,
            "PEM without final newline": pem.rstrip(),
            "PEM with two final newlines": pem + b"\n",
            "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
            "PEM with CR": pem.replace(b"\n", b"\r"),
            "PEM after a blank line": b"\n" + pem,
            "PEM after blanks": b"   " + pem,
            "PEM with indented lines": pem.replace(b"\n", b"\n  "),
            "PEM on one line": pem.replace(b"\n", b""),
            "DER": public.public_bytes(encodings.DER, spki),
            "OpenSSH": public.public_bytes(encodings.OpenSSH, formats.OpenSSH),
            "OpenSSH with comment": public.public_bytes(
                encodings.OpenSSH, formats.OpenSSH
            )
            + b" alice@example\n",
            "JWK": json.dumps(jwk).encode(),
            "JWK without blanks": json.dumps(jwk, separators=(",", ":")).encode(),
            "JWK sorted": json.dumps(jwk, sort_keys=True).encode(),
            "JWKS": json.dumps({"keys": [jwk]}).encode(),
            "JWKS without blanks": json.dumps(
                {"keys": [jwk]}, separators=(",", ":")
            ).encode(),
            "nested JWKS": json.dumps({"jwks": {"keys": [jwk]}}).encode(),
            "key id": self.kid.encode(),
            "hash of the DER": hashlib.sha256(
                public.public_bytes(encodings.DER, spki)
            ).digest(),
        }
        if isinstance(public, rsa.RSAPublicKey):
            forms["PKCS #1 PEM"] = public.public_bytes(encodings.PEM, formats.PKCS1)
            forms["PKCS #1 DER"] = public.public_bytes(encodings.DER, formats.PKCS1)
        if isinstance(public, ec.EllipticCurvePublicKey):
            forms["X9.62 point"] = public.public_bytes(
                encodings.X962, formats.UncompressedPoint
            )
        if isinstance(public, ed25519.Ed25519PublicKey):
            forms["raw"] = public.public_bytes(encodings.Raw, formats.Raw)
        return forms


def _bytes(part: Any) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


@cache
def private_key(alg: str, number: int = 0) -> Private:
    """A key for the run of the tests, made once."""
    del number
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    # 2048 bits: half the time to make, and the length is not what is tested.
    return rsa.generate_private_key(65537, 2048)


class Bench:
    """A mint, and a verifier that knows its key."""

    def __init__(self, alg: str) -> None:
        self.clock = ManualClock()
        self.mint = Mint(private_key(alg), alg, now=self.clock.now)
        self.ended: set[str] = set()
        self.asked: list[str] = []
        self.checker = Checker(
            issuer=ISSUER,
            audience=AUDIENCE,
            key_of=self._key_of,
            has_ended=self.ended.__contains__,
            clock=self.clock,
        )

    def _key_of(self, kid: str) -> Any:
        self.asked.append(kid)
        return self.mint.key.public if kid == self.mint.kid else None

    def code_of(self, token: str) -> str:
        """`ok`, or the code with which the token is refused."""
        try:
            self.checker.verify(token)
        except WatchwordError as error:
            return error.code
        return "ok"

    def code_at_introspection(self, token: str, *audiences: str) -> str:
        """The same for any of these audiences, with no regard to a binding."""
        try:
            self.checker.verify_for(token, audiences or (AUDIENCE,))
        except WatchwordError as error:
            return error.code
        return "ok"

    def code_at_logout(self, token: str) -> str:
        """The same where expiry and revocation are no hindrance."""
        try:
            self.checker.verify_signature(token)
        except WatchwordError as error:
            return error.code
        return "ok"
