"""Every forged or broken token is refused; the genuine ones beside them are not."""

from __future__ import annotations

import pytest

from tests.verify.catalogue import (
    ES256_EDGES,
    FORGERIES,
    GENUINE,
    TO_END_A_SESSION,
    about,
)
from tests.verify.minting import (
    ALGORITHMS,
    ISSUER,
    Bench,
    Mint,
    ecdsa,
    mac,
    private_key,
)
from watchword.errors import TokenInvalid


@pytest.fixture(params=ALGORITHMS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


async def test_a_forgery_is_invalid(bench: Bench) -> None:
    """And only ever that: what was wrong is not said (VF-22)."""
    for name, make in FORGERIES.items():
        with about(name):
            token = make(bench.mint)
            assert bench.code_of(token) == "token_invalid"
            assert bench.code_at_introspection(token) == "token_invalid"
            if name not in TO_END_A_SESSION:
                assert bench.code_at_logout(token) == "token_invalid"
            with pytest.raises(TokenInvalid):
                await bench.checker.verify_bound(token, None, method="GET", url=ISSUER)


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_token_is_accepted_twice(name: str, bench: Bench) -> None:
    token = GENUINE[name](bench.mint)
    assert bench.code_of(token) == "ok"
    assert bench.code_of(token) == "ok"  # from the cache
    assert bench.code_at_introspection(token) == "ok"
    assert bench.code_at_logout(token) == "ok"


@pytest.mark.parametrize("name", ES256_EDGES)
def test_vf_13_ecdsa_at_the_edges_of_its_range(name: str) -> None:
    """Values r and s outside 1 to n-1 verify nothing (CVE-2022-21449), nor does DER."""
    bench = Bench("ES256")
    assert bench.code_of(ES256_EDGES[name](bench.mint)) == "token_invalid"


def test_vf_13_eddsa_with_s_beyond_the_order_is_refused() -> None:
    """RFC 8032 §5.1.7: S + L would be a second spelling of one signature."""
    order = 2**252 + 27742317777372353535851937790883648493
    bench = Bench("EdDSA")

    def sign(text: bytes) -> bytes:
        raw = bench.mint.sign(text)
        beyond = int.from_bytes(raw[32:], "little") + order
        return raw[:32] + beyond.to_bytes(32, "little")

    assert bench.code_of(bench.mint.token(sign=sign)) == "token_invalid"


@pytest.mark.parametrize("form", Bench("RS256").mint.public_forms())
def test_vf_06_the_public_key_is_no_hmac_secret(form: str) -> None:
    bench = Bench("RS256")
    secret = bench.mint.public_forms()[form]
    for alg, digest in (("HS256", "sha256"), ("RS256", "sha256"), ("HS512", "sha512")):
        header = bench.mint.header(alg=alg)
        token = bench.mint.token(header, sign=mac(secret, digest))
        assert bench.code_of(token) == "token_invalid"


def test_vf_24_a_signature_respelled_by_arithmetic_dies_with_its_session() -> None:
    """ECDSA is malleable, s and n-s both verify: revocation goes by session."""
    bench = Bench("ES256")
    mint = bench.mint
    one = mint.token()
    signature = mint.key._private  # the same key, so the same claims under both
    other = mint.token(sign=ecdsa(signature, change=lambda r, s, n: (r, n - s)))
    assert one != other
    assert (bench.code_of(one), bench.code_of(other)) == ("ok", "ok")
    bench.ended.add("s")
    assert bench.code_of(one) == "token_revoked"
    assert bench.code_of(other) == "token_revoked"


def test_vf_30_another_issuers_key_of_the_same_kid_opens_nothing() -> None:
    bench = Bench("ES256")
    other = Mint(private_key("ES256", 7), "ES256", now=bench.clock.now)
    header = other.header(kid=bench.mint.kid)
    assert bench.code_of(other.token(header)) == "token_invalid"


def test_vf_08_only_plausible_key_ids_are_looked_up() -> None:
    bench = Bench("ES256")
    for name, make in FORGERIES.items():
        if name.startswith("VF-08"):
            bench.code_of(make(bench.mint))
    assert all(len(kid) <= 128 for kid in bench.asked)
