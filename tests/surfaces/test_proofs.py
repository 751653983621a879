"""The catalogue of bad DPoP proofs, at every place that takes one."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.proofs import HASHES, NONCES, PROOFS, Forge, Prover
from tests.surfaces.stage import FIRST, Holder, Pair, Stage
from tests.surfaces.test_access_tokens import PLACES

RESOURCES: Final = PLACES[:-1]  # a logout asks for no proof
Send = Callable[..., Awaitable[Answer]]
_LOGIN: Final = {"username": "alice", "password": PASSWORD}


async def siege(
    stage: Stage,
    table: dict[str, Forge],
    make: Callable[..., str],
    prover: Prover,
    send: Send,
    *allowed: str,
) -> None:
    texts = ((name, forge(make, prover)) for name, forge in table.items())

    async def throw(proof: str) -> Answer:
        return await send(("DPoP", proof))

    assert await stage.besiege(texts, throw, allowed) == []


async def at_login(stage: Stage, _: Holder, *headers: Pair) -> Answer:
    return await stage.json(f"{BASE}/login", _LOGIN, *headers)


async def at_refresh(stage: Stage, holder: Holder, *headers: Pair) -> Answer:
    body = {"refreshToken": holder.refresh}
    return await stage.json(f"{BASE}/refresh", body, *headers)


async def at_token(stage: Stage, holder: Holder, *headers: Pair) -> Answer:
    fields = {"grant_type": "refresh_token", "refresh_token": holder.refresh}
    return await stage.oauth("/oauth/token", fields, FIRST, *headers)


async def at_client_credentials(stage: Stage, _: Holder, *headers: Pair) -> Answer:
    fields = {"grant_type": "client_credentials"}
    return await stage.oauth("/oauth/token", fields, "shop", *headers)


ISSUING: Final[list[tuple[str, Any]]] = [
    (f"{BASE}/login", at_login),
    (f"{BASE}/refresh", at_refresh),
    ("/oauth/token", at_token),
    ("/oauth/token", at_client_credentials),
]


@pytest.mark.parametrize(("path", "send"), ISSUING)
async def test_a_bad_proof_gets_no_tokens(path: str, send: Any, stage: Stage) -> None:
    """Nothing is spent by it; the good proof after all the bad ones is accepted."""
    prover = Prover()
    victim = await stage.sign_in(prover=prover)
    make = stage.proofs(prover, "POST", path)
    ask = functools.partial(send, stage, victim)
    await siege(stage, PROOFS, make, prover, ask, "400 invalid_dpop_proof")
    await siege(stage, NONCES, make, prover, ask, "400 use_dpop_nonce")
    others = {
        "the other places' nonce": lambda make, _: make(nonce=stage.nonce("resource"))
    }
    await siege(stage, others, make, prover, ask, "400 use_dpop_nonce")
    spent = make()
    answer = await ask(("DPoP", spent))
    assert answer.status == 200, answer
    assert answer.header("dpop-nonce") == stage.nonce()
    again: dict[str, Forge] = {"used before": lambda *_: spent}
    await siege(stage, again, make, prover, ask, "400 invalid_dpop_proof")


@pytest.mark.parametrize(("method", "path"), RESOURCES, ids=map(" ".join, RESOURCES))
async def test_a_bad_proof_opens_nothing(method: str, path: str, stage: Stage) -> None:
    prover = Prover()
    victim = await stage.sign_in(prover=prover)
    path = path.format(victim.session)
    make = stage.proofs(prover, method, path, victim.access)

    async def send(*headers: Pair) -> Answer:
        token = ("Authorization", f"DPoP {victim.access}")
        return await stage.call(method, path, [token, *headers])

    table = PROOFS | HASHES
    await siege(stage, table, make, prover, send, "401 invalid_dpop_proof")
    others: dict[str, Forge] = {
        "the other places' nonce": lambda make, _: make(nonce=stage.nonce())
    }
    table = NONCES | others
    await siege(stage, table, make, prover, send, "401 use_dpop_nonce")
    theirs: dict[str, Forge] = {
        "of another key": lambda *_: stage.proofs(
            Prover(1), method, path, victim.access
        )()
    }
    await siege(stage, theirs, make, prover, send, "401 token_invalid")
    assert (await send()).verdict() == "401 invalid_dpop_proof"
    assert await stage.lives(victim)
    spent = make()
    assert (await send(("DPoP", spent))).status in (200, 204)
    gone = ("401 invalid_dpop_proof", "401 token_revoked")
    again: dict[str, Forge] = {"used before": lambda *_: spent}
    await siege(stage, again, make, prover, send, *gone)


async def test_a_proof_of_another_key_spends_nothing(stage: Stage) -> None:
    prover, thief = Prover(), Prover(1)
    victim = await stage.sign_in(prover=prover)
    for path, send in ISSUING[1:3]:
        make = stage.proofs(thief, "POST", path)
        ask = functools.partial(send, stage, victim)
        theirs: dict[str, Forge] = {"of another key": lambda make, _: make()}
        await siege(stage, theirs, make, thief, ask, "400 invalid_dpop_proof")
        assert (await ask()).verdict() == "400 invalid_dpop_proof"
    assert await stage.lives(victim)
    await stage.rotated(victim)


async def test_two_proofs_are_none(stage: Stage) -> None:
    """RFC 9449 section 4.3: not more than one header."""
    prover = Prover()
    victim = await stage.sign_in(prover=prover)
    for path, send in ISSUING:
        pair = [stage.proof(prover, "POST", path) for _ in range(2)]
        answer = await send(stage, victim, *pair)
        assert answer.verdict() == "400 invalid_dpop_proof"
    for method, path in RESOURCES:
        path = path.format(victim.session)  # noqa: PLW2901
        pair = [stage.proof(prover, method, path, victim.access) for _ in range(2)]
        token = ("Authorization", f"DPoP {victim.access}")
        answer = await stage.call(method, path, [token, *pair])
        assert answer.verdict() == "401 invalid_dpop_proof"
    await stage.rotated(victim)


async def test_a_client_that_must_prove_a_key_does(stage: Stage) -> None:
    body = {**_LOGIN, "clientId": "keyed"}
    answer = await stage.json(f"{BASE}/login", body)
    assert answer.verdict() == "400 invalid_dpop_proof"
    keyed = await stage.sign_in(client="keyed", prover=Prover())
    answer = await stage.refresh(keyed._replace(prover=None))
    assert answer.verdict() == "400 invalid_dpop_proof"
    await stage.rotated(keyed)


@pytest.mark.parametrize(
    "spoof",
    [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "/evil"),
    ],
    ids=lambda pair: pair[0],
)
async def test_the_address_in_a_proof_is_the_issuers(spoof: Pair, stage: Stage) -> None:
    """Whatever the headers say of where the request went."""
    prover = Prover()
    victim = await stage.sign_in(prover=prover)
    for path, send in ISSUING:
        make = stage.proofs(prover, "POST", path)
        theirs = make(htu=f"https://evil.example{path}")
        answer = await send(stage, victim, spoof, ("DPoP", theirs))
        assert answer.verdict() == "400 invalid_dpop_proof"
        answer = await send(stage, victim, spoof, ("DPoP", make(htm="GET")))
        assert answer.verdict() == "400 invalid_dpop_proof"
    await stage.rotated(victim)
