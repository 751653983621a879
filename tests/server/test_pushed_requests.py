"""/oauth/par: requests that a client leaves ahead of its user (RFC 9126)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio

from tests.server.relying import (
    Party,
    answer_in,
    code_in,
    follow,
    outcome_of,
    party,
    sign_in,
    signed_in,
)
from tests.server.visiting import Browser, Pages, pages_of
from tests.surfaces.proofs import Prover
from watchword.core.limits import MINUTE, SECOND
from watchword.testing import ManualClock

ISSUER = "https://auth.example"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock, issuer=ISSUER) as opened:
        yield opened


@pytest_asyncio.fixture
async def app(pages: Pages) -> Party:
    return await party(pages, confidential=True, par=True)


async def pushed(app: Party, **changed: Any) -> str:
    answer = await app.push(**changed)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["expires_in"] == 60
    assert body["request_uri"].startswith("urn:ietf:params:oauth:request_uri:ww_par_")
    return str(body["request_uri"])


async def bring(
    browser: Browser, request_uri: str, client_id: str = "app", **more: str
) -> httpx2.Response:
    query = {"client_id": client_id, "request_uri": request_uri, **more}
    return await browser.get(f"/oauth/authorize?{urlencode(query)}")


async def test_a_pushed_request_is_good_once_and_nothing_is_added_to_it(
    pages: Pages, app: Party
) -> None:
    browser = await signed_in(pages)
    uri = await pushed(app, state="pushed")
    answer = await bring(browser, uri, state="added", scope="email", prompt="login")
    assert answer_in(answer)["state"] == "pushed"
    tokens = (await app.redeem(code_in(answer))).json()
    assert tokens["scope"] == "openid"
    again = await bring(browser, uri)
    assert (again.status_code, "location" in again.headers) == (400, False)


@pytest.mark.parametrize("late", [60 * SECOND, 60 * SECOND + 1])
async def test_it_waits_a_minute_for_the_browser_and_then_for_the_user(
    pages: Pages, app: Party, clock: ManualClock, late: int
) -> None:
    uri = await pushed(app, prompt="login")
    clock.advance(late)
    browser = pages.browser()
    answer = await bring(browser, uri)
    if late > MINUTE:
        assert answer.status_code == 400
        return
    assert outcome_of(answer) == "sign-in"
    clock.advance(20 * MINUTE)
    assert outcome_of(await sign_in(browser)) == "code"


async def test_a_request_that_two_tabs_bring_grants_once(
    pages: Pages, app: Party
) -> None:
    browser, uri = pages.browser(), await pushed(app)
    await bring(browser, uri)
    first = browser.page
    await bring(browser, uri)
    assert outcome_of(await sign_in(browser)) == "code"
    browser.page = first
    assert (await follow(browser)).status_code == 400


async def test_of_twenty_at_once_one_gets_the_code(pages: Pages, app: Party) -> None:
    browser, uri = await signed_in(pages), await pushed(app)
    query = urlencode({"client_id": "app", "request_uri": uri})
    address = f"/oauth/authorize?{query}"
    answers = await asyncio.gather(*(browser.http.get(address) for _ in range(20)))
    assert sorted(map(outcome_of, answers)) == ["400"] * 19 + ["code"]


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"client_id": "unknown"}, 401, "invalid_client"),
        ({"redirect_uri": "https://evil.example/cb"}, 400, "invalid_request"),
        ({"redirect_uri": None}, 400, "invalid_request"),
        ({"state": ["a", "b"]}, 400, "invalid_request"),
        ({"response_type": "token"}, 400, "unsupported_response_type"),
        (
            {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
            400,
            "invalid_request",
        ),
        ({"request": "eyJ"}, 400, "request_not_supported"),
        ({"resource": "https://evil.example"}, 400, "invalid_target"),
        ({"code_challenge": None}, 400, "invalid_request"),
        ({"dpop_jkt": "short"}, 400, "invalid_request"),
        ({"state": "s" * 4000}, 400, "invalid_request"),
        # It is for the browser to say whether its user is signed in.
        ({"prompt": "none"}, 201, None),
    ],
)
async def test_what_would_be_refused_later_is_refused_at_once(
    app: Party, changed: dict[str, Any], status: int, error: str | None
) -> None:
    answer = await app.post("/oauth/par", **app.request() | changed)
    shown = answer.json()
    assert (answer.status_code, shown.get("error")) == (status, error)
    assert not set(shown.get("error_description", "")) & set('"\\')


async def test_only_a_client_with_the_grant_may_push(pages: Pages) -> None:
    machine = await party(pages, "machine", confidential=True, redirect_uris=[])
    answer = await machine.push()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    # A public client may: it says which it is.
    public = await party(pages, "public")
    assert (await public.push()).status_code == 201


async def test_one_of_another_client_is_worth_nothing(pages: Pages, app: Party) -> None:
    browser, other = await signed_in(pages), await party(pages, "other")
    uri = await pushed(app)
    for client_id in (other.id, "unknown", ""):
        answer = await bring(browser, uri, client_id)
        assert (answer.status_code, "location" in answer.headers) == (400, False)
    forged = [uri[:-2], uri + "A", uri.replace("ww_par_", "ww_in_"), "urn:x"]
    forged.append("urn:ietf:params:oauth:request_uri:")
    for bad in forged:
        assert (await bring(browser, bad)).status_code == 400
    assert outcome_of(await bring(browser, uri)) == "code"
    # And one that has to push its requests can do nothing else.
    assert outcome_of(await browser.get(app.address())) == "invalid_request"


async def test_a_proof_binds_the_code_to_its_key(pages: Pages, app: Party) -> None:
    """RFC 9449 §10.1."""
    browser, prover, other = await signed_in(pages), Prover(), Prover(1)
    api = pages.api

    async def post(path: str, by: Prover, form: dict[str, Any]) -> httpx2.Response:
        nonce: Any = ...
        while True:  # the first answer says which nonce is wanted
            proof = by.proof("POST", ISSUER + path, api.clock.now, nonce=nonce)
            body = {"client_id": "app", "client_secret": app.secret, **form}
            answer = await api.client.post(path, data=body, headers={"DPoP": proof})
            if answer.json().get("error") != "use_dpop_nonce":
                return answer
            nonce = answer.headers["dpop-nonce"]

    uneven = app.request(dpop_jkt=other.jkt)
    answer = await post("/oauth/par", prover, uneven)
    assert answer.json()["error"] == "invalid_request"
    uri = (await post("/oauth/par", prover, app.request())).json()["request_uri"]
    redeem = {
        "grant_type": "authorization_code",
        "code": code_in(await bring(browser, uri)),
        "redirect_uri": app.uri,
        "code_verifier": "v" * 43,
    }
    assert (await app.redeem(redeem["code"])).status_code == 400
    assert (await post("/oauth/token", other, redeem)).status_code == 400
    good = await post("/oauth/token", prover, redeem)
    assert (good.status_code, good.json()["token_type"]) == (200, "DPoP")
