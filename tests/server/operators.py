"""Callers of the admin API, for tests: users with the role, clients with a right."""

from __future__ import annotations

from typing import Any, Final

import httpx2

from tests.scenarios.api import LocalApi, bearer, code_of
from watchword.core.session import EVERYTHING
from watchword.ports.audit import EventFilter, EventType

ADMIN: Final = "/api/admin"


class Operator:
    """A caller of the admin API, by its token."""

    def __init__(self, api: LocalApi, token: str) -> None:
        self.api = api
        self._token = token

    async def call(
        self, method: str, path: str, body: Any = None, version: Any = None
    ) -> httpx2.Response:
        """The answer. `version` goes into If-Match."""
        headers = bearer(self._token)
        if version is not None:
            headers["If-Match"] = version if version == "*" else f'"{version}"'
        return await self.api.client.request(
            method, ADMIN + path, json=body, headers=headers
        )

    async def get(self, path: str) -> Any:
        """What a call shows."""
        answer = await self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(
        self, path: str, body: Any = None, version: Any = None
    ) -> httpx2.Response:
        return await self.call("POST", path, body, version)


async def user_of(api: LocalApi, name: str = "alice") -> Operator:
    """An account of that name, which can sign in by the password of the tests."""
    return Operator(api, (await api.login(name))["accessToken"])


async def client_of(api: LocalApi, right: str, name: str = "robot") -> Operator:
    """A new client with that right, by a token of its own."""
    client, _ = await api.engine.clients.add(name, confidential=True, rights=[right])
    token = api.engine.client_tokens.issue(client, EVERYTHING)
    return Operator(api, token.access_token)


async def details(api: LocalApi, kind: EventType) -> list[dict[str, Any]]:
    """What the audit log has of events of that type, newest first."""
    found = await api.engine.stores.audit.search(
        EventFilter(types=frozenset({kind})), limit=100, look=1000
    )
    return [dict(event.detail) for _, event in found.events]


def verdict(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {code_of(answer)}"
