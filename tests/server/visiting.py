"""A browser without scripts at the pages of an application in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.mail.mailbox import Mailbox
from tests.scenarios.api import LocalApi, local_api
from tests.server.shown import parsed, text_of, with_class
from watchword.config import Settings
from watchword.server.csrf import FIELD
from watchword.testing import ManualClock

ADDRESS: Final = "mara@example.org"
PASSWORD: Final = "a boat for each of the seas 41"
_BROUGHT_BACK: Final = rf'name="({FIELD}|scope|resources)" value="([^"]*)"'
OURS: Final = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """One jar. `page` is the last answer."""

    def __init__(self, application: Any, address: str = "127.0.0.1") -> None:
        transport = httpx2.ASGITransport(application, client=(address, 123))
        self.http = httpx2.AsyncClient(
            transport=transport, base_url="https://127.0.0.1", headers=OURS
        )
        self.page = httpx2.Response(200)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        self.page = await self.http.get(path, headers=headers)
        return self.page

    async def send(self, path: str, **fields: str) -> httpx2.Response:
        """The form of a page that is opened for it, with these fields."""
        await self.get(path)
        return await self.post(path, **fields)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form of the page that is shown."""
        hidden = re.findall(_BROUGHT_BACK, self.page.text)
        self.page = await self.http.post(path, data=dict(hidden) | fields)
        return self.page

    @property
    def heading(self) -> str:
        return text_of(next(parsed(self.page.text).iter("h1")))

    @property
    def faults(self) -> list[tuple[str, str]]:
        """Field and words of each line of the error summary."""
        found = []
        for summary in with_class(parsed(self.page.text), "summary"):
            for line in summary.iter("li"):
                links = [one.get("href", "") for one in line.iter("a")]
                found.append(("".join(links).removeprefix("#"), text_of(line)))
        return found

    @property
    def shown(self) -> dict[str, str]:
        """What stands in each field."""
        page = parsed(self.page.text)
        shown = {one.get("id", ""): one.get("value", "") for one in page.iter("input")}
        areas = {one.get("id", ""): one.text or "" for one in page.iter("textarea")}
        return shown | areas

    @property
    def notice(self) -> str:
        return " ".join(map(text_of, with_class(parsed(self.page.text), "good")))


class Pages:
    """The application, its mail, and browsers."""

    def __init__(self, api: LocalApi, folder: Path) -> None:
        self.api = api
        self.engine = api.engine
        self._mail = Mailbox(folder)

    def browser(self, address: str = "127.0.0.1") -> Browser:
        return Browser(self.api.application, address)

    async def code_to(self, address: str) -> str:
        """The code of the next message to that address."""
        assert self.engine.mail is not None
        await self.engine.mail.send_due()
        await self.engine.mail.close()
        return self._mail.token_to(address)

    async def registered(
        self, browser: Browser, address: str = ADDRESS, **fields: str
    ) -> str:
        """Ask for an account; the code of the message."""
        sent = {"email": address, "password": PASSWORD} | fields
        answer = await browser.send("/register", **sent)
        assert answer.status_code == 200, answer.text
        return await self.code_to(address)

    async def signed_in(self, address: str = ADDRESS, **fields: str) -> Browser:
        """A browser with a new account of that address."""
        browser = self.browser()
        code = await self.registered(browser, address, **fields)
        answer = await browser.send("/confirm", token=code, step="confirm")
        assert answer.headers["location"] == "account"
        return browser


@asynccontextmanager
async def pages_of(
    folder: Path, clock: ManualClock, **given: Any
) -> AsyncIterator[Pages]:
    settings = Settings(
        **{
            "data": folder,
            "database_url": "memory:",
            "issuer": "http://127.0.0.1:8000",
            "registration": "open",
            **given,
        }
    )
    async with local_api(settings, clock) as api:
        yield Pages(api, folder)
