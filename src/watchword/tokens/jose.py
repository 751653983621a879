"""Strict parsing of compact JWS (RFC 7515), and keys bound to one algorithm.

All input is taken for hostile. Only the one canonical spelling of each part passes: a
token that was refused in one spelling must not come back in another. The JOSE library
does the cryptography. Its parsing is not used, because ours is stricter, and doing both
costs as much as the signature.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, Final, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import InvalidKeyCurveError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from watchword.core import base64url

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
"""The algorithms of Watchword's signing keys. Never HS256, never none."""

_P256_BYTES: Final = 32
_ES256: Final = ECDSA(SHA256())
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


class Malformed(ValueError):
    """Not acceptable. The message says why and has no text of the token in it."""


class PublicKey(msgspec.Struct, frozen=True):
    """A key that verifies, bound to the one algorithm that it is used with.

    Raises joserfc's InvalidKeyTypeError or InvalidKeyCurveError where the two do not go
    together.
    """

    kid: str
    alg: str
    key: ECKey | OKPKey | RSAKey

    def __post_init__(self) -> None:
        JWSRegistry.algorithms[self.alg].check_key(self.key)
        # The library takes Ed448 and X25519 keys for EdDSA as well.
        if isinstance(self.key, OKPKey) and self.key.curve_name != "Ed25519":
            raise InvalidKeyCurveError

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made that signature."""
        if self.alg == "ES256":
            return self._verifies_es256(message, signature)
        try:
            algorithm = JWSRegistry.algorithms[self.alg]
            return algorithm.verify(message, signature, self.key)
        except ValueError:
            return False

    def _verifies_es256(self, message: bytes, signature: bytes) -> bool:
        # Not through the library: measured, its way to the same call costs a tenth of
        # the signature.
        if len(signature) != 2 * _P256_BYTES:
            return False
        r, s = signature[:_P256_BYTES], signature[_P256_BYTES:]
        der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        key = cast("EllipticCurvePublicKey", self.key.public_key)
        try:
            key.verify(der, message, _ES256)
        except InvalidSignature:
            return False
        return True


class Compact(msgspec.Struct, frozen=True):
    """The parts of a token, none of them decoded."""

    head: str
    body: str
    signed: bytes
    signature: str


def split(token: str, limit: int) -> Compact:
    """The parts of a token of at most `limit` characters. Raises Malformed."""
    if len(token) > limit:
        raise Malformed("larger than allowed")
    if _SHAPE.match(token) is None:
        raise Malformed("not three segments of base64url")
    head, body, signature = token.split(".")
    return Compact(head, body, token[: -len(signature) - 1].encode("ascii"), signature)


def read_header(
    head: str, kind: str, algorithms: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """The algorithm that a header of this type names, and the whole header.

    `crit` and `b64` name extensions, none of which is understood (RFC 7515 §4.1.11,
    RFC 7797 §7). Raises Malformed.
    """
    header = read_object(decode(head))
    if "crit" in header or "b64" in header:
        raise Malformed("extensions (crit, b64) are not supported")
    typ, alg = header.get("typ"), header.get("alg")
    # A media type: compared without regard to case (RFC 7515 §4.1.9).
    if not isinstance(typ, str) or typ.lower() not in (kind, f"application/{kind}"):
        raise Malformed(f"typ is not {kind}")
    if not isinstance(alg, str) or alg not in algorithms:
        raise Malformed(f"alg is not one of {', '.join(algorithms)}")
    return alg, header


def decode(segment: str) -> bytes:
    """Base64url in its one canonical spelling: unused trailing bits are zero.

    Raises Malformed.
    """
    try:
        raw = base64url.decode(segment)
    except ValueError:
        raise Malformed("not base64url") from None
    if base64url.encode(raw).decode() != segment:
        raise Malformed("not canonical base64url")
    return raw


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object without duplicate names, NaN or infinities, in UTF-8.

    Raises Malformed.
    """
    try:
        value = msgspec.json.decode(raw)
        # This parser keeps the last of two equal names. If the value, written again,
        # gives the same bytes, there were no equal names; so it is with most tokens.
        # Only the others are read again by the slower parser that finds duplicates.
        if msgspec.json.encode(value) != raw:
            value = _STRICT.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Malformed("not strict JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_constant=_refuse
)
