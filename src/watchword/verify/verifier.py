"""One access token, from text to claims (RFC 9068 §4, RFC 8725bis §3).

Order: bound the size, split, read the header, choose the key, verify the signature,
check the claims, ask whether the session has ended. Strict checks come before the JOSE
library, which does the cryptography. A verified token is kept, and its expiry and its
session are looked at again every time.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from watchword.core import limits
from watchword.core.access_token import TYPE, Claims, check_claims, read_claims
from watchword.errors import TokenExpired, TokenInvalid, TokenRevoked

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
"""All that a key may be bound to. Never HS256, never none."""

_SHAPE: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+\Z", re.ASCII)
_TYPES: Final = (TYPE, f"application/{TYPE}")


class PublicKey(msgspec.Struct, frozen=True):
    """A key of the issuer, bound to the one algorithm that it signs with.

    Raises joserfc's InvalidKeyTypeError or InvalidKeyCurveError where the two do not go
    together.
    """

    kid: str
    alg: str
    key: ECKey | OKPKey | RSAKey

    def __post_init__(self) -> None:
        JWSRegistry.algorithms[self.alg].check_key(self.key)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made that signature.

        The library does the cryptography. Its own parsing of the token is not used:
        ours is stricter, and doing both costs as much as the signature.
        """
        try:
            algorithm = JWSRegistry.algorithms[self.alg]
            return algorithm.verify(message, signature, self.key)
        except ValueError:
            return False


class Verifier:
    """Checks access tokens of one issuer for one audience.

    `key_of` returns the published key of an id, or None; `has_ended` tells of a session
    (its `sid`) whether it ended before its time, and raises StoreUnavailable when it
    cannot know; `clock` gives milliseconds since the epoch.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        key_of: Callable[[str], PublicKey | None],
        has_ended: Callable[[str], bool],
        clock: Callable[[], int],
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._key_of = key_of
        self._has_ended = has_ended
        self._clock = clock
        # Keyed by the whole token, its signature included, and filled only after the
        # signature was verified. First in, first out: a flood of new tokens costs
        # verifications, never memory.
        self._verified: OrderedDict[str, tuple[Claims, str]] = OrderedDict()

    def verify(self, token: str) -> Claims:
        """The claims of a token that is genuine, in time, and of a living session.

        Raises TokenInvalid, TokenExpired, TokenRevoked; StoreUnavailable where the
        revocations are not known. What was wrong with an invalid token is never said.
        """
        known = self._verified.get(token)
        # A key that is no longer published takes its tokens with it.
        if known is None or self._key_of(known[1]) is None:
            claims = self._verify_new(token)
        else:
            claims = known[0]
            if self._clock() >= claims.exp * 1000:
                del self._verified[token]
                raise TokenExpired
        if self._has_ended(claims.sid):
            raise TokenRevoked
        return claims

    def verify_signature(self, token: str) -> Claims:
        """The claims of a genuine token, be it expired or its session over.

        For a logout: whoever holds any token of a session may end that session.
        """
        payload, _ = _open(token, self._key_of)
        return read_claims(payload, self._issuer, self._audience, self._clock())

    def _verify_new(self, token: str) -> Claims:
        payload, kid = _open(token, self._key_of)
        claims = check_claims(payload, self._issuer, self._audience, self._clock())
        self._verified[token] = (claims, kid)
        if len(self._verified) > limits.VERIFIED_CACHE:
            self._verified.popitem(last=False)
        return claims


def _open(
    token: str, key_of: Callable[[str], PublicKey | None]
) -> tuple[dict[str, Any], str]:
    """The payload under a good signature, and the id of the key that made it."""
    if len(token) > limits.ACCESS_TOKEN_MAX or _SHAPE.match(token) is None:
        raise TokenInvalid
    signed, _, signature = token.rpartition(".")
    head, _, body = signed.partition(".")
    kid, alg = _header(head)
    key = key_of(kid)
    if key is None or alg != key.alg:
        raise TokenInvalid
    if not key.verifies(signed.encode("ascii"), _decode(signature)):
        raise TokenInvalid
    return _object(_decode(body)), kid


@lru_cache(maxsize=64)  # one per signing key, in practice; what is refused is not kept
def _header(head: str) -> tuple[str, str]:
    """The key id and the algorithm that a header names, if nothing else is in the way.

    `crit` and `b64` name extensions, none of which is understood (RFC 7515 §4.1.11,
    RFC 7797 §7). `jwk`, `jku`, `x5c` and their kin are not looked at: a key comes from
    the issuer's published set or not at all.
    """
    if len(head) > limits.ACCESS_TOKEN_HEADER_MAX:
        raise TokenInvalid
    header = _object(_decode(head))
    kid, alg, kind = header.get("kid"), header.get("alg"), header.get("typ")
    if "crit" in header or "b64" in header:
        raise TokenInvalid
    if not isinstance(kid, str) or len(kid) > limits.KEY_ID_MAX:
        raise TokenInvalid
    # A media type: compared without regard to case (RFC 7515 §4.1.9).
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenInvalid
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise TokenInvalid
    return kid, alg


def _decode(segment: str) -> bytes:
    """Base64url in its one canonical spelling: unused trailing bits are zero."""
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise TokenInvalid from None
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
        raise TokenInvalid
    return raw


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object without duplicate names, NaN or infinities, in UTF-8."""
    try:
        value = _STRICT.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    if not isinstance(value, dict):
        raise TokenInvalid
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
