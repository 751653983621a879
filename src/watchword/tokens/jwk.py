"""One public key as JSON (RFC 7517, 7518, 8037), in DPoP proofs and in key sets.

Only the members that make the key are taken over, in their one canonical spelling, so
that a key has only one thumbprint (RFC 7638). Weak keys and points of small order are
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from joserfc.jwk import ECKey, OKPKey, RSAKey

from watchword.core import limits
from watchword.tokens import jose

Key = ECKey | OKPKey | RSAKey

_P256_BYTES: Final = 32
# In practice every key has the exponent 2^16 + 1. With a long exponent verifying would
# cost as much as signing.
_EXPONENT_BYTES: Final = 8
PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Members that a private or symmetric key has and a public key does not."""

# Keys made by a faulty library (ROCA, CVE-2017-15361) are recognised by n modulo each
# of these primes: it is always a power of 65537. One in 2^27 other keys looks like
# that.
_ROCA_PRIMES: Final = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73),
    *(79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157),
    *(163, 167),
)
_ROCA: Final = [
    (prime, frozenset(pow(65537, power, prime) for power in range(prime)))
    for prime in _ROCA_PRIMES
]
_ED25519_PRIME: Final = 2**255 - 19
# The y coordinate of points of order 8, which is this or p minus this. Points of order
# 1, 2 and 4 have 1, p - 1 and 0.
_ED25519_ORDER_8: Final = (
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
)


def read_key(jwk: dict[str, Any], alg: str) -> Key:
    """The public key in `jwk`, for that algorithm. Raises Malformed."""
    if not PRIVATE.isdisjoint(jwk):
        raise jose.Malformed("jwk holds a private or symmetric key")
    try:
        return _IMPORTS[alg](jwk)
    except jose.Malformed:
        raise
    except ValueError:
        raise jose.Malformed("jwk is no key") from None


def _ec(jwk: dict[str, Any]) -> ECKey:
    made = _members(jwk, kty="EC", crv="P-256")
    for name in ("x", "y"):
        made[name] = jwk.get(name)
        if len(_bytes(jwk, name)) != _P256_BYTES:
            raise jose.Malformed(f"jwk: {name} is not 32 bytes")
    return ECKey.import_key(made)


def _okp(jwk: dict[str, Any]) -> OKPKey:
    made = _members(jwk, kty="OKP", crv="Ed25519")
    made["x"] = jwk.get("x")
    y = int.from_bytes(_bytes(jwk, "x"), "little") & (2**255 - 1)
    prime = _ED25519_PRIME
    # For a key of small order, signatures that verify can be made without a private
    # key.
    small = {0, 1, prime - 1, _ED25519_ORDER_8, prime - _ED25519_ORDER_8}
    if y >= prime or y in small:
        raise jose.Malformed("jwk: x is no point that could be a key")
    return OKPKey.import_key(made)


def _rsa(jwk: dict[str, Any]) -> RSAKey:
    made = _members(jwk, kty="RSA")
    numbers = []
    for name in ("n", "e"):
        made[name] = jwk.get(name)
        raw = _bytes(jwk, name)
        if raw.startswith(b"\0"):
            raise jose.Malformed(f"jwk: {name} has leading zeros")
        numbers.append(int.from_bytes(raw))
    modulus, exponent = numbers
    least, most = limits.DPOP_RSA_BITS
    if not least <= modulus.bit_length() <= most:
        raise jose.Malformed(f"jwk: n is not of {least} to {most} bits")
    if exponent % 2 == 0 or not 1 < exponent < 256**_EXPONENT_BYTES:
        raise jose.Malformed("jwk: e is no public exponent")
    if all(modulus % prime in powers for prime, powers in _ROCA):
        raise jose.Malformed("jwk: n is of a faulty library (ROCA)")
    return RSAKey.import_key(made)


_IMPORTS: Final[dict[str, Callable[[dict[str, Any]], Key]]] = {
    "ES256": _ec,
    "Ed25519": _okp,
    "EdDSA": _okp,
    "RS256": _rsa,
    "PS256": _rsa,
}


def _members(jwk: dict[str, Any], **expected: str) -> dict[str, Any]:
    for name, value in expected.items():
        if jwk.get(name) != value:
            raise jose.Malformed(f"jwk: {name} does not go with alg")
    return dict(expected)


def _bytes(jwk: dict[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise jose.Malformed(f"jwk: {name} is missing")
    return jose.decode(value)
