"""Starlette: the examples as printed, its own decorator, and classes of endpoints."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.integrations.fakes import ISSUER, FakeIssuer
from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    bearer,
    code_of,
    embedded_story,
    example,
    login,
    resource_story,
)
from watchword.integrations.starlette import Auth, ResourceServer


def test_the_embedded_example_does_its_job() -> None:
    program = example("starlette_embedded")
    with TestClient(program.app) as client:
        assert client.portal is not None
        client.portal.call(program.auth.register, NAME, PASSWORD)
        embedded_story(client)


def test_the_api_example_only_verifies(elsewhere: FakeIssuer) -> None:
    with TestClient(example("starlette_api").app) as client:
        resource_story(client, elsewhere)


def test_starlettes_own_decorator_knows_the_scopes(elsewhere: FakeIssuer) -> None:
    """And endpoints on threads, and those that are methods, can be guarded too."""
    auth = ResourceServer(ISSUER)

    @requires(["authenticated", "orders"])
    async def orders(request: Request) -> JSONResponse:
        return JSONResponse(request.auth.scopes)

    @auth.requires(roles=["admin"])
    def blocking(request: Request) -> JSONResponse:
        return JSONResponse(list(request.user.roles))

    class Shop(HTTPEndpoint):
        @auth.requires(max_age=60)
        async def get(self, request: Request) -> JSONResponse:
            return JSONResponse(request.user.display_name)

    routes = [
        Route("/orders", orders),
        Route("/blocking", blocking),
        Route("/shop", Shop),
        Route("/open", lambda request: JSONResponse(request.user.is_authenticated)),
    ]
    app = Starlette(routes=routes, lifespan=auth.lifespan)
    auth.mount(app)
    mint = elsewhere.mint
    with TestClient(app) as client:
        allowed = bearer(mint.with_claims(scope="orders", roles=["admin"]))
        for path, answer in {
            "/orders": ["authenticated", "orders"],
            "/blocking": ["admin"],
            "/shop": "u",
            "/open": True,
        }.items():
            assert client.get(path, headers=allowed).json() == answer
        assert client.get("/open").json() is False
        assert client.get("/orders", headers=bearer(mint.token())).status_code == 403
        lacking = client.get("/blocking", headers=bearer(mint.token()))
        assert code_of(lacking) == "insufficient_role"
        old = bearer(mint.with_claims(auth_time=1))
        answer = client.get("/shop", headers=old)
        assert code_of(answer) == "insufficient_user_authentication"
        assert 'max_age="60"' in answer.headers["www-authenticate"]


def test_a_stale_token_beside_a_refresh_is_no_matter() -> None:
    """Clients attach their token to everything: it must not be what refuses them."""
    program = example("starlette_embedded")
    with TestClient(program.app) as client:
        assert client.portal is not None
        client.portal.call(program.auth.register, NAME, PASSWORD)
        body = {"refreshToken": login(client)["refreshToken"]}
        stale = bearer("a.stale.token")
        answer = client.post(f"{BASE}/refresh", json=body, headers=stale)
        assert code_of(answer) == "ok"
        assert code_of(client.get("/hello", headers=stale)) == "token_invalid"


def test_roles_are_a_list() -> None:
    with pytest.raises(TypeError, match="roles is a list"):
        Auth("memory:").requires(roles="admin")
