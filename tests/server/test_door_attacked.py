"""The door as an outsider finds it: what has succeeded once, and must not again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest_asyncio

from tests.server.relying import Party, answer_in, outcome_of, party, signed_in
from tests.server.visiting import Pages, pages_of
from tests.surfaces.proofs import Prover
from watchword.core.limits import CODES_BURST, SECOND
from watchword.testing import ManualClock

ISSUER: Final = "https://auth.example"
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


@pytest_asyncio.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, ManualClock(), issuer=ISSUER) as opened:
        yield opened


@pytest_asyncio.fixture
async def app(pages: Pages) -> Party:
    return await party(pages)


def rows(pages: Pages) -> dict[str, Any]:
    """How much there is in each table of the store."""
    memory: Any = pages.engine.stores.once
    tables = vars(memory._memory) | {"ring": memory._memory.ring[1]}
    return {n: len(rows) for n, rows in tables.items() if hasattr(rows, "__len__")}


async def test_what_anyone_can_send_leaves_nothing_in_the_store(
    pages: Pages, app: Party
) -> None:
    """A public client is any caller, and a proof is of a key that any caller makes."""
    client, browser = pages.api.client, pages.browser()

    async def pushed(nonce: Any = ...) -> Any:
        url, now = f"{ISSUER}/oauth/par", pages.api.clock.now
        proof = Prover().proof("POST", url, now, nonce=nonce)
        return await client.post(
            "/oauth/par", data=app.request(), headers={"DPoP": proof}
        )

    nonce = (await pushed()).headers["dpop-nonce"]
    before = rows(pages)
    answer = await pushed(nonce)
    assert answer.status_code == 201
    uri = answer.json()["request_uri"]
    assert (await app.push()).status_code == 201
    for path in (
        app.address(),
        app.address(prompt="none"),
        f"/oauth/authorize?client_id=app&request_uri={uri}",
        "/oauth/logout?client_id=app&id_token_hint=x",
    ):
        assert (await browser.get(path)).status_code < 500
        await browser.http.post(path.partition("?")[0], content="a=b", headers=FORM)
    assert (await app.redeem("ww_ac_" + "A" * 99)).status_code == 400
    openid = {"grant_type": "refresh_token", "client_id": "first-party"}
    openid |= {"scope": "openid", "refresh_token": "ww_rt_x"}
    assert (await client.post("/oauth/token", data=openid)).status_code == 400
    assert rows(pages) == before


async def test_a_pushed_request_needs_the_signature_of_its_key(
    pages: Pages, app: Party
) -> None:
    prover, url = Prover(), f"{ISSUER}/oauth/par"
    signatures = {201: None, 400: Prover(1).key._signature}
    nonce = pages.engine.proofs.nonces.current()
    for status, sign in signatures.items():
        proof = prover.proof("POST", url, pages.api.clock.now, nonce=nonce, sign=sign)
        answer = await pages.api.client.post(
            "/oauth/par", data=app.request(), headers={"DPoP": proof}
        )
        assert answer.status_code == status, answer.text


async def test_a_browser_gets_so_many_codes_and_then_one_a_second(
    pages: Pages, app: Party
) -> None:
    """Each becomes a session: its row and its events stay for long."""
    browser, other = await signed_in(pages), await signed_in(pages)
    for _ in range(CODES_BURST):
        assert outcome_of(await browser.get(app.address())) == "code"
    late = answer_in(await browser.get(app.address()))
    assert (late["error"], late["iss"]) == ("temporarily_unavailable", ISSUER)
    assert outcome_of(await other.get(app.address())) == "code"
    pages.api.clock.advance(SECOND)
    assert outcome_of(await browser.get(app.address())) == "code"
    assert outcome_of(await browser.get(app.address())) == "temporarily_unavailable"
