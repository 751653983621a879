"""A browser as far as cookies go: one jar, whatever the number of tabs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from tests.scenarios.api import BASE, PASSWORD, LocalApi
from watchword.core.limits import MINUTE

NAME: Final = "__Host-watchword"
SITE: Final = {"Sec-Fetch-Site": "same-origin"}
OURS: Final = SITE | {"X-Requested-With": "app"}
CREDENTIALS: Final = {"username": "alice", "password": PASSWORD}
BY_COOKIE: Final = CREDENTIALS | {"transport": "cookie"}
COOKIE: Final = re.compile(
    rf"{NAME}=(?P<token>[\w-]*); Path=/; Secure; HttpOnly; SameSite=Strict; "
    r"Max-Age=(?P<age>\d+)"
)


class Browser:
    """`jar` is the cookie's value; what a call sets gets there when it `arrives`."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.jar = ""

    async def send(
        self,
        call: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] = OURS,
        cookie: str | None = None,
    ) -> httpx2.Response:
        """POST with the jar's cookie, or with a `Cookie` header of the test's own."""
        self.api.client.cookies.clear()
        line = f"{NAME}={self.jar}" if self.jar and cookie is None else cookie
        sent = dict(headers) | ({"Cookie": line} if line else {})
        return await self.api.client.post(f"{BASE}/{call}", json=body, headers=sent)

    def arrives(self, answer: httpx2.Response) -> httpx2.Response:
        """The browser reads the answer, and keeps or forgets what it says."""
        if "set-cookie" in answer.headers:
            self.jar = cookie_of(answer)["token"]
        return answer

    async def sign_in(self, **requested: Any) -> Any:
        """Sign alice in by cookie; the answer's body."""
        answer = self.arrives(await self.send("login", BY_COOKIE | requested))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self, **given: Any) -> httpx2.Response:
        return self.arrives(await self.send("refresh", **given))

    async def logout(self, **given: Any) -> httpx2.Response:
        return self.arrives(await self.send("logout", **given))

    def generation(self) -> int:
        """Of the token in the jar."""
        return self.api.engine.sessions.generation_of(self.jar)


def cookie_of(answer: httpx2.Response) -> dict[str, str]:
    """The one cookie that an answer sets: its token and its age."""
    (line,) = answer.headers.get_list("set-cookie")
    shape = COOKIE.fullmatch(line)
    assert shape is not None, line
    return shape.groupdict()


def spent_nothing(answer: httpx2.Response) -> None:
    """An error says nothing of any cookie: the jar may hold a newer one by then."""
    assert answer.status_code >= 400
    assert "set-cookie" not in answer.headers
    assert "clear-site-data" not in answer.headers


async def lives(browser: Browser) -> None:
    """The jar's token is current: it rotates once the hold-off is over."""
    browser.api.clock.advance(MINUTE)
    before = browser.generation()
    answer = await browser.refresh()
    assert (answer.status_code, browser.generation()) == (200, before + 1)
