"""A FastAPI app on uvicorn wants a second factor; Python clients act by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2
import pyotp
import pytest
import requests

from tests.integrations.serving import serving
from watchword.client import Auth, RequestsAuth
from watchword.errors import InsufficientAuthentication

COMMAND: Final = "uvicorn with_step_up:app --http h11 --port {port}"
PHRASE: Final = "four words make a phrase"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(COMMAND, tmp_path_factory.mktemp("step-up")) as served:
        yield f"http://localhost:{served.port}"


def by_httpx2(auth: Auth, url: str) -> Any:
    with httpx2.Client(auth=auth) as http:
        return http.post(url).json()


def by_async_httpx2(auth: Auth, url: str) -> Any:
    async def post() -> Any:
        async with httpx2.AsyncClient(auth=auth) as http:
            return (await http.post(url)).json()

    return asyncio.run(post())


def by_requests(auth: Auth, url: str) -> Any:
    return requests.post(url, auth=RequestsAuth(auth), timeout=60).json()


@pytest.mark.parametrize("post", [by_httpx2, by_async_httpx2, by_requests])
def test_the_user_is_asked_and_the_call_goes_through(
    url: str, post: Callable[[Auth, str], Any]
) -> None:
    """The challenge says what is needed; there is no factor yet, so one is enrolled."""
    asked: list[tuple[str | None, int | None]] = []

    def step_up(auth: Auth, needed: InsufficientAuthentication) -> None:
        asked.append((needed.acr_values, needed.max_age))
        pending = auth.factors.add_totp()
        code = pyotp.TOTP(pending.secret).now()
        assert len(auth.factors.confirm_totp(pending.factor, code)) == 10

    httpx2.post(f"{url}/register/{post.__name__}").raise_for_status()
    auth = Auth(url, on_step_up=step_up)
    auth.login(post.__name__, PHRASE)
    assert [post(auth, f"{url}/transfer") for _ in range(2)] == ["sent", "sent"]
    assert asked == [("aal2", 300)]
