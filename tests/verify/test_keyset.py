"""An issuer's key set: what is taken from it, for how long, when it is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rows import each
from tests.verify.minting import ALGORITHMS, Mint, b64, private_key
from tests.verify.odd_keys import odd_keys
from watchword.core import limits
from watchword.errors import Overloaded
from watchword.testing import ManualClock
from watchword.tokens.jose import Malformed, PublicKey
from watchword.verify import bounds
from watchword.verify.keyset import KeySet, NotYet, UnknownKey, age_of, read_keys
from watchword.verify.replay_cache import MemoryReplayCache

MINTS = {alg: Mint(private_key(alg), alg, now=10**12) for alg in ALGORITHMS}
JWK = {alg: mint.key.jwk() for alg, mint in MINTS.items()}
GOOD = JWK["ES256"]


def read(*keys: Any) -> dict[str, PublicKey]:
    return read_keys(json.dumps({"keys": keys}).encode())


def test_each_key_is_bound_to_its_one_algorithm() -> None:
    found = read(*JWK.values())
    assert {key.alg: kid for kid, key in found.items()} == {
        alg: mint.kid for alg, mint in MINTS.items()
    }
    for mint in MINTS.values():
        head, body, _ = mint.parts()
        text = f"{head}.{body}".encode()
        assert found[mint.kid].verifies(text, mint.sign(text))


LEFT_OUT: dict[str, dict[str, Any]] = {
    "for encryption": {"use": "enc"},
    "for no use that we know": {"use": ["sig"]},
    "for signing": {"key_ops": ["sign"]},
    "for several operations": {"key_ops": ["verify", "encrypt"]},
    "without an algorithm": {"alg": ...},
    "of no algorithm": {"alg": "none"},
    "of a MAC": {"alg": "HS256"},
    "of another curve's algorithm": {"alg": "ES384"},
    "of another key's algorithm": {"alg": "RS256"},
    "of an algorithm that is no text": {"alg": ["ES256"]},
    "without an id": {"kid": ...},
    "with an empty id": {"kid": ""},
    "with an id that is no text": {"kid": 1},
    "with a very long id": {"kid": "k" * (limits.KEY_ID_MAX + 1)},
    "of an unknown kind": {"kty": "AKP"},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_key_for_something_else_is_left_out(name: str) -> None:
    """And does not take the others along: issuers publish what they like (RFC 7517)."""
    member = {"kid": "other"} | {k: v for k, v in GOOD.items() if k != "kid"}
    member |= LEFT_OUT[name]
    odd = {k: v for k, v in member.items() if v is not ...}
    assert list(read(odd, JWK["EdDSA"])) == [MINTS["EdDSA"].kid]
    with pytest.raises(Malformed):
        read(odd)


def test_jw_12_weak_and_malformed_keys_are_left_out() -> None:
    for checks, (_, (alg, jwk, _sign)) in each(odd_keys().items()):
        with checks:
            odd = jwk | {"kid": "odd", "alg": alg, "use": "sig"}
            assert list(read(odd, GOOD)) == [MINTS["ES256"].kid]


def test_jw_12_a_key_of_the_faulty_library_is_left_out() -> None:
    """Its primes are a power of 65537 modulo small ones (CVE-2017-15361)."""
    small = 1
    for number in range(3, 168):
        if all(number % lower for lower in range(2, number)):
            small *= number
    powers = (pow(65537, power, small) for power in range(5, 50))
    odd_one = next(residue for residue in powers if residue % 2)
    n = (small << (2048 - small.bit_length())) + odd_one
    good = JWK["RS256"]
    odd = good | {"kid": "odd", "n": _text(n)}
    other = good | {"kid": "other", "n": _text(n + 2)}
    assert list(read(odd, other, GOOD)) == ["other", MINTS["ES256"].kid]


def _text(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


@pytest.mark.parametrize(
    "odd",
    [
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "oct", "kid": "secret"},
        GOOD | {"kid": "other", "d": "AAAA"},
        JWK["RS256"] | {"p": "AAAA"},
        {"kty": "AKP", "kid": "seed", "priv": "AAAA"},
        GOOD,
        GOOD | {"use": "enc"},
        JWK["EdDSA"] | {"kid": GOOD["kid"]},
    ],
)
def test_jw_12_a_set_with_a_secret_or_one_id_twice_is_refused_whole(odd: Any) -> None:
    with pytest.raises(Malformed):
        read(GOOD, odd)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,"x"]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b'{"keys":' + b"[" * 100_000,
    ],
)
def test_what_is_no_key_set_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_keys(raw)


@pytest.mark.parametrize(
    ("header", "age", "seconds"),
    [
        ("public, max-age=300", "", 300),
        ("max-age=300", "100", 200),
        ("MAX-AGE=300", "x", 300),
        ('max-age="60"', "", 60),
        ("s-maxage=5", "", 300),
        ("", "", 300),
        ("no-store", "", 300),
        ("max-age=0", "", 30),
        ("max-age=300", "999", 30),
        ("max-age=-1", "", 300),
        ("max-age=999999999999", "", 24 * 3600),
    ],
)
def test_keys_are_kept_as_long_as_the_issuer_says_within_reason(
    header: str, age: str, seconds: int
) -> None:
    assert age_of(header, age) == seconds * limits.SECOND


def test_an_unknown_key_is_a_reason_to_ask_but_not_often() -> None:
    keys = KeySet()
    with pytest.raises(NotYet):
        keys.key_of("k")
    assert keys.may_ask(0)
    keys.asked(0)
    assert not keys.may_ask(bounds.JWKS_ASK - 1)
    assert keys.may_ask(bounds.JWKS_ASK)
    keys.read(read(GOOD), 300_000, 0)
    assert keys.key_of(MINTS["ES256"].kid).alg == "ES256"
    with pytest.raises(UnknownKey):
        keys.key_of("k")
    # Before its age is over, by chance; an issuer that is away takes nothing back.
    assert 0 < keys.rest(0) < keys.rest(1) < 300_000
    keys.failed("away")
    assert keys.key_of(MINTS["ES256"].kid).alg == "ES256"


async def test_a_proof_is_used_once_and_the_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "PROOFS_REMEMBERED", 3)
    clock = ManualClock(0)
    once = MemoryReplayCache(clock)
    assert await once([(b"a", 10), (b"b", 20), (b"a", 10)]) == [True, True, False]
    assert await once([(b"c", 30)]) == [True]
    with pytest.raises(Overloaded):
        await once([(b"d", 40)])
    clock.advance(10)
    assert await once([(b"d", 40)]) == [True]
    assert len(once) == 3
