"""An API beside a real server: `ResourceServer` with the verifier of the package."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import flask
import httpx2
import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from tests.cli.terminal import Terminal
from tests.integrations.stories import bearer, code_of
from tests.patience import until
from tests.server.live import Live
from watchword import verify
from watchword.integrations import fastapi as for_fastapi
from watchword.integrations import flask as for_flask


@pytest.fixture
def live(folder: Path) -> Iterator[Live]:
    with Live(folder / "data") as server:
        yield server


@pytest.fixture
def feed(live: Live) -> tuple[str, str]:
    add = "clients", "add", "shop", "--confidential", "--right", "feed"
    made = Terminal(live.data).json(*add)
    return made["clientId"], made["clientSecret"]


def by_fastapi(server: for_fastapi.ResourceServer) -> FastAPI:
    app = FastAPI(lifespan=server.lifespan)
    server.mount(app)

    @app.get("/hello")
    async def hello(
        session: Annotated[verify.Claims, Depends(server.session)],
    ) -> dict[str, str]:
        return {"hello": session.sub}

    return app


def by_flask(server: for_flask.ResourceServer) -> flask.Flask:
    app = flask.Flask(__name__)
    server.init_app(app)

    @app.get("/hello")
    @server.required()
    def hello() -> dict[str, str]:
        return {"hello": server.session.sub}

    return app


@pytest.mark.parametrize("kind", [for_fastapi, for_flask], ids=["async", "blocking"])
@pytest.mark.parametrize("name", ["fed", "http", "monotonic"])
def test_an_api_takes_no_other_argument_of_a_verifier(kind: Any, name: str) -> None:
    """Misspelt, or for the inside of a verifier: refused where the app gives it."""
    with pytest.raises(TypeError, match=name):
        kind.ResourceServer("https://auth.example", **{name: None})


def test_a_logout_at_the_server_counts_in_the_apis(
    live: Live, feed: tuple[str, str]
) -> None:
    asynchronous = for_fastapi.ResourceServer(live.url, feed=feed)
    synchronous = for_flask.ResourceServer(live.url, feed=feed)
    transport = httpx2.WSGITransport(app=by_flask(synchronous))
    with (
        TestClient(by_fastapi(asynchronous)) as first,
        closing(synchronous),
        httpx2.Client(transport=transport, base_url="http://127.0.0.1") as second,
    ):
        tokens = live.login()
        access = bearer(tokens["accessToken"])
        for client in (first, second):
            becomes(client, access, "ok")
        live.call("POST", "/api/auth/logout", tokens)
        for client in (first, second):
            becomes(client, access, "token_revoked")
            bad = client.get("/hello", headers=bearer("no.jwt.atall"))
            assert code_of(bad) == "token_invalid"


def becomes(client: Any, access: dict[str, str], code: str) -> None:
    """Asks until that is the answer: another process has to hear of it."""
    until(lambda: code_of(client.get("/hello", headers=access)) == code)
