"""Litestar: the examples as printed, and guards of a whole app."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, get
from starlette.testclient import TestClient

from tests.integrations.fakes import FakeIssuer
from tests.integrations.stories import (
    NAME,
    PASSWORD,
    bearer,
    code_of,
    embedded_story,
    example,
    login,
    resource_story,
)
from watchword.integrations.litestar import Auth


def test_the_embedded_example_does_its_job() -> None:
    program = example("litestar_embedded")
    with TestClient(program.app) as client:
        assert client.portal is not None
        client.portal.call(program.auth.register, NAME, PASSWORD)
        embedded_story(client)
        document = client.get("/schema/openapi.json").json()
        assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_api_example_only_verifies(elsewhere: FakeIssuer) -> None:
    with TestClient(example("litestar_api").app) as client:
        resource_story(client, elsewhere)


def test_no_option_of_the_app_switches_a_guard_off() -> None:
    auth = Auth("memory:")

    @get("/open", guards=[auth.requires()], watchword=True)
    async def hello() -> str:
        return "there"

    app: Any = Litestar([hello], plugins=[auth], opt={"watchword": True})
    with TestClient(app) as client:
        assert code_of(client.get("/open")) == "token_missing"


def test_a_guard_of_the_whole_app_leaves_the_sign_in_alone() -> None:
    auth = Auth("memory:")

    @get("/open")
    async def hello() -> str:
        return "there"

    app: Any = Litestar(
        [hello], plugins=[auth], guards=[auth.requires(roles=["clerk"])]
    )
    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(auth.register, NAME, PASSWORD)
        assert code_of(client.get("/open")) == "token_missing"
        access = bearer(login(client)["accessToken"])
        assert code_of(client.get("/open", headers=access)) == "insufficient_role"
