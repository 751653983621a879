"""A browser with its one cookie, at an engine of this process."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from tests.scenarios.api import PASSWORD, LocalApi
from watchword.core.actor import Actor, By
from watchword.core.policies import PAGES
from watchword.core.session import Session, TokenSet
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS
from watchword.ports.audit import EventType
from watchword.testing import SeededEntropy

HOME = "192.0.2.1"
USER = By(Actor.USER, HOME)
BARE = Request({"type": "http", "headers": []})
"""Of the main listener."""


class Browser:
    """A browser with its one cookie, at an engine of this process."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.engine = api.engine
        assert api.engine.self_service is not None
        self.pages = api.engine.self_service.browser
        self.cookie = ""
        secrets = [
            one.get_secret_value().encode() for one in self.engine.settings.secret
        ]
        self.sealing = Sealing(secrets, SEALED_AS, SeededEntropy())

    async def sign_in(
        self,
        name: str = "alice",
        *,
        cookie: str | None = None,
        at: str = HOME,
        **more: Any,
    ) -> TokenSet:
        """Sign in, with the cookie that the browser has, and keep the new one."""
        proof = await self.engine.sign_in.check_password(name, PASSWORD)
        held = self.cookie if cookie is None else cookie
        tokens = await self.pages.begin(
            proof, cookie=held, address=at, user_agent="Firefox", **more
        )
        self.cookie = tokens.refresh_token
        return tokens

    async def session(
        self, cookie: str | None = None, at: str = HOME
    ) -> Session | None:
        """The session that a page finds."""
        held = self.cookie if cookie is None else cookie
        return await self.pages.session_of(held, address=at, user_agent="Firefox")

    async def row(self) -> Session:
        (row,) = [
            one
            for one in (await self.engine.sessions.page(None)).sessions
            if one.client_id == PAGES
        ]
        return row

    async def events(self, kind: EventType) -> list[Any]:
        return [
            event
            for _, event in await self.engine.stores.audit.read(0, 999)
            if event.type is kind
        ]
