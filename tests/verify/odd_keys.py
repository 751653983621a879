"""Keys that no client should have, with signatures that some verifiers would take."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.verify.minting import Sign, b64, ecdsa, private_key
from tests.verify.proving import Prover


def _pkcs1(private: rsa.RSAPrivateKey) -> Sign:
    return lambda text: private.sign(text, padding.PKCS1v15(), hashes.SHA256())


def _padded(text: bytes) -> bytes:
    """What is signed is its own signature where e is 1."""
    name = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = name + hashlib.sha256(text).digest()
    return b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


@cache
def odd_keys() -> dict[str, tuple[str, dict[str, Any], Sign]]:
    """Keys that no client should have: their algorithm, their JWK, how they sign."""
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    good = private_key("RS256", 100)
    assert isinstance(good, rsa.RSAPrivateKey)
    n = good.public_key().public_numbers().n
    own = _pkcs1(good)
    rsa_keys: dict[str, dict[str, Any]] = {
        "RSA of 2047 bits": {"n": _number(2**2046 + 1), "e": "AQAB"},
        "RSA of 4097 bits": {"n": _number(2**4096 + 1), "e": "AQAB"},
        "RSA with a leading zero": {"n": b64(b"\0" + n.to_bytes(256)), "e": "AQAB"},
        "RSA with e = 0": {"n": _number(n), "e": b64(b"\0")},
        "RSA with an even e": {"n": _number(n), "e": _number(65536)},
        "RSA with a longer e": {"n": _number(n), "e": _number(2**64 + 1)},
        "RSA with a leading zero in e": {"n": _number(n), "e": b64(b"\0\1\0\1")},
        "RSA without e": {"n": _number(n)},
        "RSA without n": {"e": "AQAB"},
        "RSA with n as a number": {"n": n, "e": "AQAB"},
        "RSA with n in base64": {"n": _number(n) + "=", "e": "AQAB"},
    }
    sign = ecdsa(private_key("ES256", 100))
    x, y = (Prover().jwk[name] for name in "xy")
    off = b64((2).to_bytes(32))
    ec_keys: dict[str, dict[str, Any]] = {
        "EC on P-384": {"crv": "P-384", "x": _number(p384.x), "y": _number(p384.y)},
        "EC that says P-384": {"crv": "P-384", "x": x, "y": y},
        "EC that says secp256k1": {"crv": "secp256k1", "x": x, "y": y},
        "EC without a curve": {"x": x, "y": y},
        "EC off the curve": {"crv": "P-256", "x": x, "y": off},
        "EC at zero": {"crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32))},
        "EC beyond the field": {"crv": "P-256", "x": b64(b"\xff" * 32), "y": y},
        "EC with a shorter x": {"crv": "P-256", "x": b64(bytes(31)), "y": y},
        "EC with a longer x": {"crv": "P-256", "x": b64(bytes(33)), "y": y},
        "EC without y": {"crv": "P-256", "x": x},
        "EC with y as a list": {"crv": "P-256", "x": x, "y": [y]},
        "EC with y and a newline": {"crv": "P-256", "x": x, "y": y + "\n"},
        "EC with an empty x": {"crv": "P-256", "x": "", "y": y},
    }
    made: dict[str, tuple[str, dict[str, Any], Sign]] = {}
    made |= {k: ("RS256", {"kty": "RSA", **v}, own) for k, v in rsa_keys.items()}
    made |= {k: ("ES256", {"kty": "EC", **v}, sign) for k, v in ec_keys.items()}
    small = rsa.generate_private_key(65537, 1024)
    jwk = {"kty": "RSA", "n": _number(small.public_key().public_numbers().n)}
    made["RSA of 1024 bits"] = ("RS256", jwk | {"e": "AQAB"}, _pkcs1(small))
    jwk = {"kty": "RSA", "n": _number(n), "e": "AQ"}
    made["RSA with e = 1"] = ("RS256", jwk, _padded)
    for name, jwk in _edwards_keys().items():
        # Under a key of small order, R = the neutral element and S = 0 verify.
        made[name] = ("EdDSA", jwk, lambda _: b"\1" + bytes(63))
    return made


def _edwards_keys() -> dict[str, dict[str, Any]]:
    prime = 2**255 - 19
    eighth = bytes.fromhex(
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    )
    of_8 = int.from_bytes(eighth, "little")
    ys = {0, 1, prime - 1, prime, prime + 1, of_8, prime - of_8, 2**255 - 1}
    keys = {
        f"Ed25519 of small order {y:x} {sign}": b64(
            (y | sign << 255).to_bytes(32, "little")
        )
        for y in sorted(ys)
        for sign in (0, 1)
    }
    made: dict[str, dict[str, Any]] = {
        name: {"kty": "OKP", "crv": "Ed25519", "x": x} for name, x in keys.items()
    }
    x = Prover("EdDSA").jwk["x"]
    for crv in ("X25519", "Ed448", "X448", "P-256"):
        made[f"OKP that says {crv}"] = {"kty": "OKP", "crv": crv, "x": x}
    for size in (31, 33, 56, 57):
        short = b64(b"\2" * size)
        made[f"Ed25519 of {size} bytes"] = {"kty": "OKP", "crv": "Ed25519", "x": short}
    made["Ed25519 without x"] = {"kty": "OKP", "crv": "Ed25519"}
    return made
