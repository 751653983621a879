"""An API wants more than a token shows: back to the user, and through (RFC 9470)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.server.relying import (
    NAME,
    Party,
    claims_in,
    code_in,
    follow,
    outcome_of,
    party,
    sign_in,
    signed_in,
)
from tests.server.test_factor_pages import add_app
from tests.server.visiting import Pages, pages_of
from watchword.core.actor import SYSTEM
from watchword.core.limits import HOUR, SECOND
from watchword.integrations.starlette import ResourceServer
from watchword.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock, issuer="http://localhost:8000") as opened:
        yield opened


@pytest_asyncio.fixture
async def api(pages: Pages) -> AsyncIterator[httpx2.AsyncClient]:
    """An API of its own: one call wants a fresh sign-in, one a second factor."""
    server = ResourceServer("http://localhost:8000")

    @server.requires(max_age=300)
    async def fresh(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    @server.requires(acr_values=["aal2"], max_age=300)
    async def strong(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    app = Starlette(routes=[Route("/fresh", fresh), Route("/strong", strong)])
    server.mount(app)
    transport = httpx2.ASGITransport(app)
    with server._authenticator.use_engine(pages.engine):
        async with httpx2.AsyncClient(
            transport=transport, base_url="https://api.example"
        ) as client:
            yield client


async def called(api: httpx2.AsyncClient, path: str, tokens: Any) -> httpx2.Response:
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    return await api.get(path, headers=bearer)


def asked_in(answer: httpx2.Response) -> dict[str, str]:
    """What the challenge asks for, as parameters of a request."""
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    found = dict(re.findall(r'(acr_values|max_age)="?([^",]+)', challenge))
    assert found
    return found


async def test_an_old_sign_in_is_done_again(
    pages: Pages, clock: ManualClock, api: httpx2.AsyncClient
) -> None:
    app = await party(pages)
    browser = await signed_in(pages)
    clock.advance(HOUR)
    tokens = await app.tokens(browser)
    asked = asked_in(await called(api, "/fresh", tokens))
    assert outcome_of(await browser.get(app.address(**asked))) == "sign-in"
    code = code_in(await sign_in(browser))
    again = (await app.redeem(code)).json()
    assert (await called(api, "/fresh", again)).text == "/fresh"


async def test_a_second_factor_is_proved_where_there_is_one(
    pages: Pages, clock: ManualClock, api: httpx2.AsyncClient
) -> None:
    app: Party = await party(pages)
    browser = await signed_in(pages)
    tokens = await app.tokens(browser)
    asked = asked_in(await called(api, "/strong", tokens))
    assert asked["acr_values"] == "aal2"
    # There is none yet: it is set up on the way, and the user comes back.
    clock.advance(SECOND)
    assert outcome_of(await browser.get(app.address(**asked))) == "add-app"
    phone, _ = await add_app(browser, clock)
    code = code_in(await browser.get(app.address(**asked)))
    assert (await called(api, "/strong", (await app.redeem(code)).json())).is_success
    # The next day: the password and the factor, or the factor alone.
    clock.advance(HOUR)
    silent = await browser.get(
        app.address(acr_values="aal2", max_age="0", prompt="none")
    )
    assert outcome_of(silent) == "login_required"
    weak = pages.browser("127.0.0.2")
    await weak.get(app.address(**asked))
    assert outcome_of(await sign_in(weak)) == "second-step"
    await follow(weak)
    done = await weak.post(str(weak.page.url), code=phone.code())
    strong = (await app.redeem(code_in(done))).json()
    assert (await called(api, "/strong", strong)).text == "/strong"


async def test_a_user_that_has_no_factor_any_more_signs_in_by_the_password(
    pages: Pages, clock: ManualClock
) -> None:
    """Else the pages would ask again and again: nothing would be as strong as before.

    What the app is told then is what was proved.
    """
    app = await party(pages)
    browser = await signed_in(pages)
    await add_app(browser, clock)
    account_id = await pages.api.id_of(NAME)
    factors = pages.engine.second_factors.factors
    (factor,) = (await factors.of(account_id)).factors
    await factors.remove(account_id, factor.id, by=SYSTEM)
    clock.advance(HOUR)
    assert outcome_of(await browser.get(app.address(prompt="login"))) == "sign-in"
    tokens = (await app.redeem(code_in(await sign_in(browser)))).json()
    told = claims_in(tokens["id_token"])
    assert (told["acr"], told["amr"]) == ("aal1", ["pwd"])
    assert told["auth_time"] == clock() // SECOND
