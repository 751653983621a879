"""The verifier's own promises: lifetimes, the cache, revocation, what it never says."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from tests.verify.minting import AUDIENCE, ISSUER, Bench
from watchword.core import limits
from watchword.errors import StoreUnavailable, TokenInvalid, WatchwordError
from watchword.verify import Checker


@pytest.fixture
def bench() -> Bench:
    return Bench("ES256")


def test_vf_17_a_token_dies_at_its_exp_seen_before_or_not(bench: Bench) -> None:
    seen, new = bench.mint.token(), bench.mint.token()
    assert bench.code_of(seen) == "ok"
    bench.clock.advance(119_999)
    assert bench.code_of(seen) == "ok"
    bench.clock.advance(1)
    assert bench.code_of(seen) == "token_expired"
    assert bench.code_of(seen) == "token_expired"
    assert not bench.checker._verified
    assert bench.code_of(new) == "token_expired"
    assert bench.code_at_logout(seen) == "ok"


def test_vf_17_expired_and_badly_signed_is_never_called_expired(bench: Bench) -> None:
    bench.clock.advance(limits.HOUR)
    head, body, signature = bench.mint.parts()
    assert bench.code_of(f"{head}.{body}.{signature}") == "token_expired"
    assert bench.code_of(f"{head}.{body}.{signature[::-1]}") == "token_invalid"


@pytest.mark.parametrize("step", [limits.HOUR, -limits.HOUR])
def test_a_clock_stepped_by_an_hour_never_lengthens_a_life(
    bench: Bench, step: int
) -> None:
    token = bench.mint.token()
    bench.clock.advance(step)
    assert bench.code_of(token) != "ok"
    bench.clock.advance(-step)
    assert bench.code_of(token) == "ok"


def test_vf_23_a_token_in_the_cache_dies_at_once_with_its_session(
    bench: Bench,
) -> None:
    token, other = bench.mint.token(), bench.mint.with_claims(sid="other")
    assert (bench.code_of(token), bench.code_of(other)) == ("ok", "ok")
    bench.ended.add("s")
    assert bench.code_of(token) == "token_revoked"
    assert bench.code_of(other) == "ok"
    assert bench.code_of(bench.mint.with_claims(jti="new")) == "token_revoked"


def test_vf_23_expired_counts_before_revoked(bench: Bench) -> None:
    """The client refreshes, and is told there that its session is over."""
    token = bench.mint.token()
    bench.ended.add("s")
    bench.clock.advance(limits.HOUR)
    assert bench.code_of(token) == "token_expired"


def test_a_key_that_is_withdrawn_takes_its_cached_tokens_along(bench: Bench) -> None:
    known = {bench.mint.kid: bench.mint.key.public}
    verifier = Checker(
        issuer=ISSUER,
        audience=AUDIENCE,
        key_of=known.get,
        has_ended=lambda _: False,
        clock=bench.clock,
    )
    token = bench.mint.token()
    assert verifier.verify(token).sid == "s"
    known.clear()
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


def test_vf_27_it_fails_closed_where_revocations_are_unknown(bench: Bench) -> None:
    def nobody_knows(_: str) -> bool:
        raise StoreUnavailable

    verifier = Checker(
        issuer=ISSUER,
        audience=AUDIENCE,
        key_of=lambda _: bench.mint.key.public,
        has_ended=nobody_knows,
        clock=bench.clock,
    )
    for _ in range(2):  # new, then from the cache
        with pytest.raises(StoreUnavailable):
            verifier.verify(bench.mint.token())
    with pytest.raises(TokenInvalid):
        verifier.verify("a.b.c")


def test_the_cache_is_bounded_and_forgets_the_oldest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "VERIFIED_CACHE", 8)
    tokens = [bench.mint.with_claims(jti=str(number)) for number in range(20)]
    for token in tokens:
        assert bench.code_of(token) == "ok"
    kept = bench.checker._verified
    assert list(kept) == tokens[-8:]
    assert bench.code_of(tokens[0]) == "ok"  # verified again


def test_what_was_refused_is_not_kept(bench: Bench) -> None:
    head, body, _ = bench.mint.parts()
    for number in range(100):
        assert bench.code_of(f"{head}.{body}.{number:086}") == "token_invalid"
    bench.clock.advance(limits.HOUR)
    assert bench.code_of(bench.mint.token()) == "token_expired"
    assert not bench.checker._verified


def test_a_token_seen_before_costs_no_signature(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = bench.mint.token()
    assert bench.code_of(token) == "ok"
    monkeypatch.setattr(type(bench.mint.key.public), "verifies", None)
    assert bench.code_of(token) == "ok"


def test_vf_03_huge_tokens_are_refused_before_anything_is_made_of_them(
    bench: Bench,
) -> None:
    head, body, signature = bench.mint.parts()
    huge = [
        "A" * 50_000_000,
        "." * 1_000_000,
        f"{head}.{'A' * 10_000_000}.{signature}",
        f"{'A' * 10_000_000}.{body}.{signature}",
        f"{head}.{body}.{'A' * 10_000_000}",
    ]
    tracemalloc.start()
    began = time.process_time()
    try:
        for token in huge:
            assert bench.code_of(token) == "token_invalid"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 2


def test_vf_22_an_error_never_shows_the_token_or_what_was_wrong(bench: Bench) -> None:
    """Not in its text, its arguments, or an exception behind it (CVE-2025-65015)."""
    secret = "canary-in-the-claims"
    made = bench.mint.with_claims(sub=secret, exp="soon")
    head, body, signature = made.split(".")
    bad = [
        made,
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}",
        bench.mint.token(payload=b'{"a":"' + secret.encode()),
        bench.mint.with_header(kid=secret),
    ]
    said = set()
    for token in bad:
        with pytest.raises(WatchwordError) as caught:
            bench.checker.verify(token)
        error: BaseException | None = caught.value
        assert error is not None
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        said.add((str(error), error.args))
    assert len(said) == 1
    assert secret not in str(said)


def test_vf_25_the_claims_are_returned_typed(bench: Bench) -> None:
    token = bench.mint.with_claims(roles=["admin"], scope="read", aud=["api", "x"])
    claims = bench.checker.verify(token)
    assert (claims.iss, claims.sub, claims.sid) == (ISSUER, "u", "s")
    assert claims.roles == ("admin",)
    assert claims.scope == "read"
    assert claims.aud == ("api", "x")
