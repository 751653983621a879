"""Tokens that are bound to a key, and clients' own: where each is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verify.minting import AUDIENCE, ISSUER, Bench
from tests.verify.proving import Place, Prover, ath_of
from watchword.core import limits
from watchword.errors import (
    StoreUnavailable,
    TokenInvalid,
    TokenNonceNeeded,
    TokenProofInvalid,
    WatchwordError,
)
from watchword.verify import Checker, Proofs

URL = "https://api.example/orders/1"


class Api:
    """A resource server that takes both schemes."""

    def __init__(self) -> None:
        self.bench = Bench("ES256")
        self.place = Place("resource", self.bench.clock)
        self.prover = Prover()
        self.looked_up: list[str] = []
        self.checker = self.verifier_with(self.place.proofs)

    def verifier_with(self, proofs: Proofs | None) -> Checker:
        return Checker(
            issuer=ISSUER,
            audience=AUDIENCE,
            key_of=self.bench._key_of,
            has_ended=self._has_ended,
            clock=self.bench.clock,
            proofs=proofs,
        )

    def _has_ended(self, sid: str) -> bool:
        self.looked_up.append(sid)
        return sid in self.bench.ended

    def token(self, prover: Prover | None = None, **changes: Any) -> str:
        jkt = (prover or self.prover).jkt
        return self.bench.mint.with_claims(cnf={"jkt": jkt}, **changes)

    def proof(self, token: str, prover: Prover | None = None, **changes: Any) -> str:
        made = {"htm": "GET", "htu": URL, "ath": ath_of(token)} | changes
        return self.place.proof(prover or self.prover, **made)

    async def code_of(self, token: str, proof: str | None) -> str:
        """`ok`, or the code with which the scheme DPoP refuses."""
        try:
            await self.checker.verify_bound(token, proof, method="GET", url=URL)
        except WatchwordError as error:
            return error.code
        return "ok"

    def as_bearer(self, token: str) -> str:
        try:
            self.checker.verify(token)
        except WatchwordError as error:
            return error.code
        return "ok"


@pytest.fixture
def api() -> Api:
    return Api()


async def test_dp_07_a_bound_token_is_no_bearer_token_however_often_seen(
    api: Api,
) -> None:
    """And a bearer token is none for the scheme DPoP, with a proof or without."""
    bound, bearer = api.token(), api.bench.mint.token()
    for _ in range(2):
        assert api.as_bearer(bound) == "token_invalid"
        assert await api.code_of(bound, api.proof(bound)) == "ok"
        assert api.as_bearer(bound) == "token_invalid"
        assert await api.code_of(bearer, api.proof(bearer)) == "token_invalid"
        assert api.as_bearer(bearer) == "ok"
        assert await api.code_of(bearer, None) == "token_invalid"
    api.checker.verify_for(bound, [AUDIENCE])
    assert api.as_bearer(bound) == "token_invalid"


async def test_dp_01_the_proof_must_be_of_the_tokens_key_and_for_this_token(
    api: Api,
) -> None:
    token, thief = api.token(), Prover(number=1)
    other = api.token(jti="other")
    assert await api.code_of(token, None) == "invalid_dpop_proof"
    assert await api.code_of(token, "") == "invalid_dpop_proof"
    assert await api.code_of(token, api.proof(token, thief)) == "token_invalid"
    assert await api.code_of(token, api.proof(other)) == "invalid_dpop_proof"
    assert await api.code_of(token, api.proof(token, ath=...)) == "invalid_dpop_proof"
    assert await api.code_of(token, api.proof(token, htm="PUT")) != "ok"
    assert await api.code_of(token, api.proof(token, htu=f"{URL}2")) != "ok"
    proof = api.proof(token)
    assert await api.code_of(token, proof) == "ok"
    assert await api.code_of(token, proof) == "invalid_dpop_proof"  # once


@pytest.mark.parametrize("jkt", ["", "x", "\u00e9", "a" * 43])
async def test_a_binding_to_what_is_no_thumbprint_is_proved_by_nothing(
    jkt: str, api: Api
) -> None:
    token = api.bench.mint.with_claims(cnf={"jkt": jkt})
    assert api.as_bearer(token) == "token_invalid"
    assert await api.code_of(token, api.proof(token)) == "token_invalid"


async def test_dp_08_the_nonce_of_the_token_endpoint_is_none_here(api: Api) -> None:
    token = api.token()
    elsewhere = Place("token", api.bench.clock).nonces.current()
    with pytest.raises(TokenNonceNeeded) as caught:
        await api.checker.verify_bound(
            token, api.proof(token, nonce=elsewhere), method="GET", url=URL
        )
    again = api.proof(token, nonce=caught.value.nonce)
    assert await api.code_of(token, again) == "ok"


async def test_what_was_wrong_with_a_proof_is_told(api: Api) -> None:
    token = api.token()
    with pytest.raises(TokenProofInvalid, match="htm is not the request's method"):
        await api.checker.verify_bound(
            token, api.proof(token, htm="PUT"), method="GET", url=URL
        )


async def test_a_verifier_without_proofs_accepts_no_bound_token(api: Api) -> None:
    verifier, token = api.verifier_with(None), api.token()
    with pytest.raises(TokenInvalid):
        await verifier.verify_bound(token, api.proof(token), method="GET", url=URL)
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


async def test_a_bound_token_dies_as_any_other_before_its_proof_is_used(
    api: Api,
) -> None:
    token = api.token()
    assert await api.code_of(token, api.proof(token)) == "ok"
    used = len(api.place.used)
    api.bench.ended.add("s")
    assert await api.code_of(token, api.proof(token)) == "token_revoked"
    api.bench.clock.advance(limits.HOUR)
    assert await api.code_of(token, api.proof(token)) == "token_expired"
    assert api.as_bearer(api.token()) == "token_invalid"  # not: expired
    assert len(api.place.used) == used


async def test_where_used_proofs_cannot_be_remembered_none_is_accepted(
    api: Api,
) -> None:
    async def down(_: object) -> list[bool]:
        raise StoreUnavailable

    place, token = api.place, api.token()
    proofs = Proofs(nonces=place.nonces, use_once=down, clock=place.clock)
    verifier = api.verifier_with(proofs)
    with pytest.raises(StoreUnavailable):
        await verifier.verify_bound(token, api.proof(token), method="GET", url=URL)


def test_an_audience_is_looked_at_every_time_a_token_comes(api: Api) -> None:
    """The cache knows a token for one audience and must not give it to another."""
    ours, theirs = api.bench.mint.token(), api.bench.mint.with_claims(aud="b")
    both = api.bench.mint.with_claims(aud=["api", "b"])
    code = api.bench.code_at_introspection
    for _ in range(2):
        assert (code(ours, "api"), code(ours, "b")) == ("ok", "token_invalid")
        assert (code(theirs, "api"), code(theirs, "b")) == ("token_invalid", "ok")
        assert (code(both, "api"), code(both, "b"), code(both, "c")) == (
            *("ok", "ok", "token_invalid"),
        )
        assert code(theirs, "a", "b", "c") == "ok"
        assert api.bench.code_of(theirs) == "token_invalid"
        assert api.bench.code_of(both) == api.bench.code_of(ours) == "ok"


def test_a_clients_own_token_is_of_no_session_that_could_have_ended(api: Api) -> None:
    own = api.bench.mint.clients_own()
    api.bench.ended |= {"s", "", "worker", "None"}
    for _ in range(2):
        claims = api.checker.verify(own)
        assert (claims.sub, claims.sid) == ("worker", None)
    assert not api.looked_up
    assert api.as_bearer(api.bench.mint.token()) == "token_revoked"
    api.bench.clock.advance(limits.HOUR)
    assert api.as_bearer(own) == "token_expired"


async def test_a_clients_own_token_can_be_bound_too(api: Api) -> None:
    own = api.bench.mint.clients_own(cnf={"jkt": api.prover.jkt})
    assert api.as_bearer(own) == "token_invalid"
    assert await api.code_of(own, api.proof(own)) == "ok"
