"""The catalogue of forged access tokens, at every place that takes one."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Final

import pytest

from tests.scenarios.api import BASE
from tests.surfaces.answers import Answer
from tests.surfaces.proofs import Prover
from tests.surfaces.stage import FIRST, SECURE, Holder, Pair, Stage, Throw
from tests.verify.catalogue import ES256_EDGES, FORGERIES, TO_END_A_SESSION
from tests.verify.minting import ALGORITHMS, Mint, mac

PLACES: Final = (
    ("GET", SECURE),
    ("GET", f"{BASE}/me"),
    ("GET", f"{BASE}/sessions"),
    ("DELETE", f"{BASE}/sessions/{{}}"),
    ("POST", f"{BASE}/logout-all"),
    ("POST", f"{BASE}/logout"),
)
REFUSED: Final = ("401 token_invalid", "400 invalid_request", "401 token_missing")
# HTTP takes blanks around a value away: there this is the token itself.
_SAME_IN_A_HEADER: Final = {"VF-01 a leading blank", "VF-01 a trailing blank"}


def mint_of(stage: Stage, victim: Holder) -> Mint:
    """Mints with the server's own key, for the victim's session."""
    key = stage.engine.keys.active
    sub = base64.b64decode(victim.access.split(".")[1] + "==").decode()
    sub = sub.partition('"sub":"')[2].partition('"')[0]
    mint = Mint(key._private, key.alg, now=stage.clock.now, sid=victim.session, sub=sub)
    if victim.prover is not None:
        mint._payload["cnf"] = {"jkt": victim.prover.jkt}
    return mint


def forgeries(mint: Mint) -> Iterator[tuple[str, str]]:
    table = {**FORGERIES, **(ES256_EDGES if mint.alg == "ES256" else {})}
    for name, make in table.items():
        yield name, make(mint)
    for form, secret in mint.public_forms().items():
        for alg in ("HS256", mint.alg):
            header = mint.header(alg=alg)
            yield f"VF-06 {alg} by {form}", mint.token(header, sign=mac(secret))


def by_scheme(
    stage: Stage, scheme: str, method: str, path: str, prover: Prover | None
) -> Throw:
    """Sends a token there, under DPoP with the right proof of its key."""

    async def throw(token: str) -> Answer:
        headers: list[Pair] = [("Authorization", f"{scheme} {token}")]
        if prover is not None:
            headers.append(stage.proof(prover, method, path, token))
        return await stage.call(method, path, headers)

    return throw


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
@pytest.mark.parametrize(("method", "path"), PLACES, ids=map(" ".join, PLACES))
async def test_a_forged_access_token_opens_nothing(
    method: str, path: str, scheme: str, stage: Stage
) -> None:
    """Whatever is wrong with it, under either scheme, and the session lives on."""
    prover = Prover() if scheme == "DPoP" else None
    victim = await stage.sign_in(prover=prover)
    path = path.format(victim.session)
    throw = by_scheme(stage, scheme, method, path, prover)
    texts = (
        (name, text)
        for name, text in forgeries(mint_of(stage, victim))
        if name not in _SAME_IN_A_HEADER
        and not (path.endswith("/logout") and name in TO_END_A_SESSION)
    )
    assert await stage.besiege(texts, throw, REFUSED) == []
    victim = await stage.rotated(victim)
    good = await throw(victim.access)
    assert good.status in (200, 204), good


@pytest.mark.parametrize("alg", ALGORITHMS, indirect=True)
async def test_a_forgery_of_every_algorithm_is_refused(stage: Stage) -> None:
    victim = await stage.sign_in()
    throw = by_scheme(stage, "Bearer", "GET", SECURE, None)
    texts = [
        pair
        for pair in forgeries(mint_of(stage, victim))
        if pair[0] not in _SAME_IN_A_HEADER
    ]
    assert await stage.besiege(texts, throw, REFUSED) == []
    assert (await throw(victim.access)).status == 200


async def test_a_forged_access_token_is_inactive(stage: Stage) -> None:
    """Introspection says so, and nothing else (RFC 7662 section 2.2)."""
    victim = await stage.sign_in()

    async def throw(token: str) -> Answer:
        return await stage.oauth("/oauth/introspect", {"token": token}, "shop")

    allowed = ("200 inactive", "400 invalid_request", "413 invalid_request")
    texts = forgeries(mint_of(stage, victim))
    assert await stage.besiege(texts, throw, allowed) == []
    assert (await throw(victim.access)).verdict() == "200 active"
    await stage.rotated(victim)


async def test_a_forged_access_token_revokes_nothing(stage: Stage) -> None:
    """It is unknown, which is no error (RFC 7009 section 2.2)."""
    victim = await stage.sign_in()

    async def throw(token: str) -> Answer:
        return await stage.oauth("/oauth/revoke", {"token": token}, FIRST)

    texts = (
        (name, text)
        for name, text in forgeries(mint_of(stage, victim))
        if name not in TO_END_A_SESSION
    )
    allowed = ("200 ok", "400 invalid_request", "413 invalid_request")
    assert await stage.besiege(texts, throw, allowed) == []
    victim = await stage.rotated(victim)
    await throw(victim.access)
    assert not await stage.lives(victim)


async def test_a_token_that_has_lived_opens_nothing(stage: Stage) -> None:
    """Expired, logged out, reused, of a disabled account: each says what to do."""
    alive = await stage.sign_in()
    out, reused = await stage.sign_in(), await stage.sign_in()
    await stage.json(f"{BASE}/logout", out.refresh)
    await stage.rotated(reused)
    assert (await stage.refresh(reused)).verdict() == "401 refresh_reused"
    barred = await stage.sign_in("bob")
    await stage.engine.accounts.disable(stage.bob)
    mint, now = mint_of(stage, alive), stage.clock.now // 1000
    table = {
        "expired": (mint.with_claims(iat=now - 60, exp=now), "token_expired"),
        "expired long ago": (mint.with_claims(iat=1, exp=2), "token_expired"),
        "logged out": (out.access, "token_revoked"),
        "respelled": (mint.with_claims(sid=out.session), "token_revoked"),
        "reused": (reused.access, "token_revoked"),
        "disabled": (barred.access, "token_revoked"),
    }
    faults = []
    for (method, path), (name, row) in itertools.product(PLACES[:-1], table.items()):
        token, code = row
        throw = by_scheme(stage, "Bearer", method, path.format(alive.session), None)
        faults += await stage.besiege([(name, token)], throw, [f"401 {code}"])
    assert faults == []
    await stage.rotated(alive)
