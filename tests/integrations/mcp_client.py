"""A client of the SDK of the Model Context Protocol, and its user.

Tests import it when they run: loading the SDK takes longer than most tests.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl
from starlette.applications import Starlette

from tests.walking import Walker
from watchword.integrations.mcp import Tokens

BACK: Final = "http://127.0.0.1:5555/callback"


class Held:
    """What a client of the SDK keeps: it was made by an operator."""

    def __init__(self, client_id: str) -> None:
        self.client = OAuthClientInformationFull(
            client_id=client_id, redirect_uris=[AnyUrl(BACK)]
        )
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError(client_info)


class Person:
    """The user of the client, with a browser."""

    def __init__(self, issuer: str) -> None:
        self.browser = Walker(issuer)
        self.asked: list[dict[str, list[str]]] = []
        self._answer: dict[str, str] = {}

    async def open(self, address: str) -> None:
        self.asked.append(parse_qs(urlsplit(address).query))
        there = await anyio.to_thread.run_sync(self.browser.walk, address)
        assert there.startswith(f"{BACK}?")
        found = parse_qs(urlsplit(there).query)
        self._answer = {name: values[0] for name, values in found.items()}

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**self._answer)

    def client_of(self, url: str, held: Held) -> OAuthClientProvider:
        return OAuthClientProvider(
            url,
            OAuthClientMetadata(redirect_uris=[AnyUrl(BACK)]),
            held,
            redirect_handler=self.open,
            callback_handler=self.come_back,
        )


async def orders(url: str, auth: httpx2.Auth) -> Any:
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return (await client.call_tool("orders")).content


def app_of(issuer: str, resource: str) -> Starlette:
    tokens = Tokens(issuer, resource=resource)
    server = MCPServer("orders", token_verifier=tokens, auth=tokens.settings())
    app = server.streamable_http_app()
    tokens.mount(app)
    return app
