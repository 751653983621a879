"""The pages inside an app of each framework: where they are, and which of them win."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from fastapi import FastAPI
from flask import Flask
from litestar import Controller, Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.integrations.page_stories import (
    BASE_URL,
    GIVEN,
    OWN,
    PLACES,
    pages_story,
)
from tests.integrations.stories import NAME, PASSWORD
from tests.pages import ROOT, clean_environment
from watchword.core import limits
from watchword.integrations import fastapi, flask, litestar, starlette

HERE: Final = ("127.0.0.1", 50000)
Pages = bool | str


@pytest.fixture(autouse=True)
def mail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAIL_POLL", 50)


async def own(_: Request) -> PlainTextResponse:
    return PlainTextResponse(OWN)


@contextlib.contextmanager
def running(app: Any, auth: Any) -> Iterator[Any]:
    with TestClient(app, base_url=BASE_URL, client=HERE) as client:
        assert client.portal is not None
        if auth._authenticator.engine.self_service is not None:
            client.portal.call(partial(auth.register, NAME, PASSWORD, roles=["admin"]))
        yield client


@contextlib.contextmanager
def by_starlette(pages: Pages, **given: Any) -> Iterator[Any]:
    auth = starlette.Auth("sqlite:///app.db", **given)
    app = Starlette(routes=[Route("/forgot", own)], lifespan=auth.lifespan)
    auth.mount(app, pages=pages)
    app.router.routes.append(Route("/signed-out", own))
    with running(app, auth) as client:
        yield client


@contextlib.contextmanager
def by_fastapi(pages: Pages, **given: Any) -> Iterator[Any]:
    auth = fastapi.Auth("sqlite:///app.db", **given)
    app = FastAPI(lifespan=auth.lifespan)
    app.get("/forgot")(lambda: PlainTextResponse(OWN))
    auth.mount(app, pages=pages)
    app.get("/signed-out")(lambda: PlainTextResponse(OWN))
    with running(app, auth) as client:
        assert "/sign-in" not in client.get("/openapi.json").json()["paths"]
        yield client


@contextlib.contextmanager
def by_litestar(pages: Pages, **given: Any) -> Iterator[Any]:
    @get("/forgot", media_type="text/plain")
    async def forgot() -> str:
        return OWN

    class Pages(Controller):
        path = "/signed-out"

        @get(media_type="text/plain")
        async def signed_out(self) -> str:
            return OWN

    auth = litestar.Auth("sqlite:///app.db", pages=pages, **given)
    with running(Litestar([forgot, Pages], plugins=[auth]), auth) as client:
        yield client


@contextlib.contextmanager
def by_flask(pages: Pages, **given: Any) -> Iterator[Any]:
    auth = flask.Auth("sqlite:///app.db", **given)
    app = Flask(__name__)
    app.add_url_rule("/forgot", "forgot", lambda: OWN)
    auth.init_app(app, pages=pages)
    app.add_url_rule("/signed-out", "signed out", lambda: OWN)
    transport = httpx2.WSGITransport(app=app)
    with (
        contextlib.closing(auth),
        httpx2.Client(transport=transport, base_url=BASE_URL) as client,
    ):
        if "authenticate" not in given:
            auth.register(NAME, PASSWORD, roles=["admin"])
        yield client


FRAMEWORKS: Final[dict[str, Callable[..., Any]]] = {
    "starlette": by_starlette,
    "fastapi": by_fastapi,
    "litestar": by_litestar,
    "flask": by_flask,
}


@pytest.mark.parametrize(("pages", "place"), PLACES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_pages_are_where_the_app_mounts_them(
    framework: str, pages: Pages, place: str | None
) -> None:
    with FRAMEWORKS[framework](pages, **GIVEN) as client:
        pages_story(client, place)


@pytest.mark.parametrize(("pages", "place"), PLACES)
def test_the_pages_are_where_the_setting_of_django_mounts_them(
    pages: Pages, place: str | None, folder: Path
) -> None:
    """As a process of its own: Django is set up once in each."""
    program = "from tests.integrations.django_programs import pages"
    call = f"{program}; pages({pages!r}, {place!r})"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", call],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_app_with_users_of_its_own_has_none_of_the_pages(framework: str) -> None:
    async def check(_: object) -> None:
        return None

    with FRAMEWORKS[framework]("/id", authenticate=check) as client:
        pages_story(client, None)


@pytest.mark.parametrize(
    "pages", ["", "id", "/", "/id/", "/i d", "/{id}", "//evil.example"]
)
def test_a_prefix_is_a_path(pages: str) -> None:
    with pytest.raises(ValueError, match="pages is True, False or a path"):
        starlette.Auth("memory:").mount(Starlette(), pages=pages)
