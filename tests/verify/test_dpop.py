"""DPoP proofs: the checks of RFC 9449 §4.3, each with what gets past and what not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from jwcrypto import jwk as others  # type: ignore[import-untyped]

from tests.rows import each, in_one
from tests.verify.dpop_catalogue import (
    BAD,
    GOOD,
    OTHER_URL,
    PLACE,
    SAME_URL,
    Make,
    with_claims,
    with_header,
    with_jwk,
)
from tests.verify.odd_keys import odd_keys
from tests.verify.proving import URL, Place, Prover, ath_of
from watchword.core import limits
from watchword.errors import InvalidProof, NonceNeeded
from watchword.testing import ManualClock
from watchword.tokens import dpop
from watchword.verify import DPOP_ALGORITHMS, Proofs

TOKEN = "an.access.token"


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize("alg", DPOP_ALGORITHMS)
async def test_a_good_proof_gives_the_keys_thumbprint(alg: str, place: Place) -> None:
    prover = Prover(alg)
    proof = place.proof(prover)
    jkt = await place.proofs.check(proof, method="POST", url=URL)
    assert jkt == others.JWK(**prover.jwk).thumbprint()


@in_one("name", GOOD)
async def test_what_must_pass(name: str, place: Place) -> None:
    assert await place.code_of(GOOD[name](Prover(), place)) == "ok"


@in_one("name", BAD)
async def test_what_must_not_pass(name: str, place: Place) -> None:
    """And it uses up nothing: only a good proof's jti is remembered."""
    assert await place.code_of(BAD[name](Prover(), place)) == "invalid_dpop_proof"
    assert not place.used


async def test_keys_that_are_none() -> None:
    for checks, name in each(odd_keys()):
        with checks:
            place = Place()
            alg, jwk, sign = odd_keys()[name]
            header = {"typ": "dpop+jwt", "alg": alg, "jwk": jwk}
            for named in (alg, {"RS256": "PS256", "EdDSA": "Ed25519"}.get(alg, alg)):
                head = header | {"alg": named}
                proof = Prover().proof(head, place.claims(), sign=sign)
                with pytest.raises(InvalidProof) as caught:
                    await place.proofs.check(proof, method="POST", url=URL)
                assert "signature" not in str(caught.value)  # it never came to that


@in_one("htu", SAME_URL)
async def test_htu_is_compared_after_normalisation(htu: str, place: Place) -> None:
    """RFC 3986 §6.2.2 and §6.2.3, without query and fragment."""
    url = f"{PLACE}/refresh"
    assert await place.code_of(place.proof(htu=htu), url=url) == "ok"
    asked = f"{url}?of=the-request"
    assert await place.code_of(place.proof(htu=htu), url=asked) == "ok"


@in_one("htu", OTHER_URL)
async def test_htu_of_another_url_is_refused(htu: str, place: Place) -> None:
    proof = place.proof(htu=htu)
    code = await place.code_of(proof, url=f"{PLACE}/refresh")
    assert code == "invalid_dpop_proof"


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("https://h.example", "https://h.example/"),
        ("https://h.example/.", "https://h.example"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("http://127.0.0.1:8080/a/b/..", "http://127.0.0.1:8080/a/"),
        ("https://h.example/a//../b", "https://h.example/a/b"),
        ("https://h.example/%7euser/%3a", "https://h.example/~user/%3A"),
        ("not even a URL", "not even a URL"),
    ],
)
async def test_both_sides_are_normalised(htu: str, url: str, place: Place) -> None:
    assert await place.code_of(place.proof(htu=htu), url=url) == "ok"


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("https://h.example/a/..", "https://h.example/a"),
        ("https://h.example/%3a", "https://h.example/:"),
        ("http://h.example/", "https://h.example/"),
        # What small letters make of the Kelvin sign.
        ("https://\u212aey.example/", "https://key.example/"),
    ],
)
async def test_no_further_than_that(htu: str, url: str, place: Place) -> None:
    code = await place.code_of(place.proof(htu=htu), url=url)
    assert code == "invalid_dpop_proof"


async def test_a_proof_is_good_for_one_use(place: Place) -> None:
    proof = place.proof()
    assert await place.code_of(proof) == "ok"
    for _ in range(3):
        assert await place.code_of(proof) == "invalid_dpop_proof"


async def test_the_jti_is_single_use_for_its_key_and_place(place: Place) -> None:
    """Whatever else in the proof is new, or however its URL is spelled."""
    one, another = Prover(), Prover(number=1)
    assert await place.code_of(place.proof(one, jti="j")) == "ok"
    for changes in ({}, {"iat": place.clock.now // 1000 - 1}, {"htu": f"{URL}?x"}):
        again = place.proof(one, jti="j", **changes)
        assert await place.code_of(again) == "invalid_dpop_proof"
    assert await place.code_of(place.proof(another, jti="j")) == "ok"
    assert await place.code_of(place.proof(one, jti="j", htm="GET"), "GET") == "ok"
    elsewhere = place.proof(one, jti="j", htu=f"{URL}/x")
    assert await place.code_of(elsewhere, url=f"{URL}/x") == "ok"
    for jti, url in (("a", "b c"), ("a b", "c")):  # no text for two meanings
        assert await place.code_of(place.proof(jti=jti, htu=url), url=url) == "ok"
    assert {len(key) for key in place.used} == {16}


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_a_used_jti_is_remembered_for_longer_than_its_proof_is_good(
    seconds: int, place: Place
) -> None:
    """By a worker, too, whose clock is behind by a step of the nonces."""
    proof = place.proof(iat=place.clock.now // 1000 + seconds)
    assert await place.code_of(proof) == "ok"
    (until,) = place.used.values()
    place.clock.now = until - limits.DPOP_NONCE_STEP + 1
    place.used.clear()
    assert await place.code_of(proof) == "invalid_dpop_proof"
    assert until <= place.clock.now + 2 * limits.DPOP_CLOCK


async def test_of_two_at_once_one_passes(place: Place) -> None:
    """Who was first is the store's to say."""
    asked: list[tuple[bytes, int]] = []

    async def second(uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        asked.extend(uses)
        return [False]

    proofs = Proofs(nonces=place.nonces, use_once=second, clock=place.clock)
    with pytest.raises(InvalidProof):
        await proofs.check(place.proof(), method="POST", url=URL)
    assert len(asked) == 1


async def test_of_a_batch_each_proof_stands_for_itself(place: Place) -> None:
    """A forgery beside what it copies, and the same one twice: one of three passes."""
    good = place.proofs.read(place.proof(), method="POST", url=URL)
    forged = msgspec.structs.replace(good, signature=bytes(64))
    for batch in ([forged, good, good], [good, forged, good], [good, good, forged]):
        place.used.clear()
        faults = await place.proofs.settle(batch)
        passed = [one for one, fault in zip(batch, faults, strict=True) if not fault]
        assert passed == [good]


ATHS: dict[str, Any] = {
    "of another token": ath_of("another.access.token"),
    "none": ...,
    "null": None,
    "empty": "",
    "the token itself": TOKEN,
    "padded": ath_of(TOKEN) + "=",
    "in another case": ath_of(TOKEN).swapcase(),
    "shorter": ath_of(TOKEN)[:-1],
    "not ASCII": "é" * 43,
    "a surrogate": "\ud800",
    "a list": [ath_of(TOKEN)],
}


@pytest.mark.parametrize("name", ATHS)
async def test_ath_must_be_the_access_tokens(name: str, place: Place) -> None:
    code = await place.code_of(place.proof(ath=ATHS[name]), token=TOKEN)
    assert code == "invalid_dpop_proof"
    assert not place.used
    assert await place.code_of(place.proof(ath=ath_of(TOKEN)), token=TOKEN) == "ok"


# The order of the checks: each fault hides those that come after it.
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("htm ", {"htm": "GET"}),
    ("htu ", {"htu": "https://evil.example/"}),
    ("iat ", {"iat": 1}),
    ("ath ", {"ath": "x"}),
    ("jti ", {"jti": ""}),
    ("nonce", {"nonce": "x"}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
async def test_a_client_is_told_of_the_first_fault(first: int, place: Place) -> None:
    """And of the nonce only when all else is right: then a repetition can help."""
    changes: dict[str, Any] = {"ath": ath_of(TOKEN)}
    for _, fault in FAULTS[first:]:
        changes |= fault
    with pytest.raises((InvalidProof, NonceNeeded), match=FAULTS[first][0]):
        await place.proofs.check(
            place.proof(**changes), method="POST", url=URL, access_token=TOKEN
        )


async def test_an_error_never_shows_text_of_the_proof(place: Place) -> None:
    secret = "canary"
    makes: list[Make] = [
        *(with_claims(**{name: secret}) for name in ("htm", "htu", "iat", "ath")),
        *(with_header(**{name: secret}) for name in ("typ", "alg", "crit", "jwk")),
        *(with_jwk(**{name: secret}) for name in ("kty", "crv", "x", "y", "d")),
        lambda prover, place: prover.proof(b'{"canary', place.claims()),
        lambda prover, place: prover.proof(payload=b'{"canary'),
        lambda prover, place: secret,
    ]
    for make in makes:
        with pytest.raises(InvalidProof) as caught:
            await place.proofs.check(
                make(Prover(), place), method="POST", url=URL, access_token=TOKEN
            )
        assert secret not in repr(caught.value) + repr(caught.value.args)


async def test_huge_proofs_are_refused_before_anything_is_made_of_them(
    place: Place,
) -> None:
    head, body, signature = place.proof().split(".")
    huge = ["A" * 50_000_000, "." * 1_000_000, f"{head}.{body}.{'A' * 10_000_000}"]
    huge += [f"{'A' * 10_000_000}.{body}.{signature}"]
    tracemalloc.start()
    try:
        for proof in huge:
            assert await place.code_of(proof) == "invalid_dpop_proof"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


async def test_a_key_seen_before_is_not_read_again_and_a_refused_one_not_kept(
    place: Place,
) -> None:
    dpop._key.cache_clear()
    for _ in range(3):
        assert await place.code_of(place.proof()) == "ok"
        bad = with_jwk(d="x")(Prover(), place)
        assert await place.code_of(bad) == "invalid_dpop_proof"
    found = dpop._key.cache_info()
    assert (found.hits, found.currsize) == (2, 1)
    assert found.maxsize == limits.DPOP_KEYS_CACHED


# RFC 9449, Figures 2 and 12: of 2019, and before there were nonces.
RFC_HEAD = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZy"
    "aHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpi"
    "VFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_PROOF = (
    f"{RFC_HEAD}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBz"
    "Oi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v"
    "-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_RESOURCE_PROOF = (
    f"{RFC_HEAD}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6"
    "Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwi"
    "YXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRq"
    "zhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


async def test_vec_03_the_proofs_of_rfc_9449() -> None:
    """Their key, their hash of the token; and nothing is wrong but the nonce."""
    place = Place(clock=ManualClock(1_562_262_617_000))
    server, resource = (
        "https://server.example.com/token",
        "https://resource.example.org/protectedresource",
    )
    at_server = (RFC_TOKEN_PROOF, "POST", server, None)
    at_resource = (RFC_RESOURCE_PROOF, "GET", resource, RFC_ACCESS_TOKEN)
    assert await place.code_of(*at_server) == "use_dpop_nonce"
    assert await place.code_of(*at_resource) == "use_dpop_nonce"
    assert await place.code_of(*at_resource[:3], TOKEN) == "invalid_dpop_proof"
    assert await place.code_of(*at_server[:3], RFC_ACCESS_TOKEN) != "use_dpop_nonce"
    assert dpop._key(RFC_HEAD).kid == RFC_JKT
    assert ath_of(RFC_ACCESS_TOKEN) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
