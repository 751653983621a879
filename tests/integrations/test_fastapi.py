"""FastAPI: the examples as printed, and what its users expect of a dependency."""

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.testclient import TestClient

from tests.integrations.fakes import ISSUER, FakeIssuer
from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    account_story,
    bearer,
    bound_story,
    code_of,
    embedded_story,
    example,
    login,
    resource_story,
)
from watchword.core.redirect_uri import LOOPBACK
from watchword.integrations.fastapi import Auth, ResourceServer
from watchword.verify import Claims


def call(client: TestClient, work: Any, *given: Any) -> Any:
    """What the app itself would await."""
    assert client.portal is not None
    return client.portal.call(work, *given)


def test_the_embedded_example_does_its_job() -> None:
    program = example("fastapi_embedded")
    with TestClient(program.app) as client:
        call(client, program.auth.register, NAME, PASSWORD)
        embedded_story(client)


def test_the_account_example_does_its_job() -> None:
    program = example("fastapi_account")
    with TestClient(program.app) as client:
        account_story(client)


def test_the_api_example_only_verifies(elsewhere: FakeIssuer) -> None:
    program = example("fastapi_api")
    with TestClient(program.app) as client:
        resource_story(client, elsewhere)


def test_a_proof_is_for_the_address_of_the_api(elsewhere: FakeIssuer) -> None:
    auth = ResourceServer(ISSUER, address="https://api.example/v1")
    with TestClient(app_with(auth)) as client:
        bound_story(client, elsewhere)


def app_with(auth: Auth | ResourceServer) -> FastAPI:
    app = FastAPI(lifespan=auth.lifespan)
    auth.mount(app)

    @app.get("/hello")
    async def hello(
        session: Annotated[Claims, Depends(auth.session)],
    ) -> dict[str, str]:
        return {"hello": session.sub}

    @app.get("/admin")
    async def admin(
        session: Annotated[Claims, Depends(auth.requires(roles=["admin"]))],
    ) -> dict[str, str]:
        return {"admin": session.sub}

    return app


def test_a_test_of_the_app_overrides_the_session() -> None:
    """What is required is then required of the session that the test gave."""
    auth = Auth("memory:")
    app = app_with(auth)
    claims = Claims(
        iss="i", sub="me", aud="api", exp=2, iat=1, jti="j", client_id="c", sid="s"
    )
    app.dependency_overrides[auth.session] = lambda: claims
    with TestClient(app) as client:
        assert client.get("/hello").json() == {"hello": "me"}
        assert code_of(client.get("/admin")) == "insufficient_role"


def test_roles_are_required() -> None:
    auth = Auth("memory:")
    with TestClient(app_with(auth)) as client:
        account = call(client, auth.register, NAME, PASSWORD)
        tokens = login(client)
        answer = client.get("/admin", headers=bearer(tokens["accessToken"]))
        assert (answer.status_code, code_of(answer)) == (403, "insufficient_role")
        call(client, auth.accounts.set_roles, account.id, ["admin", "clerk"])
        body = {"refreshToken": tokens["refreshToken"]}
        tokens = client.post(f"{BASE}/refresh", json=body).json()
        answer = client.get("/admin", headers=bearer(tokens["accessToken"]))
        assert answer.status_code == 200


def test_text_is_no_list_of_scopes() -> None:
    with pytest.raises(TypeError, match="scope is a list"):
        Auth("memory:").requires(scope="orders")


def test_the_auth_routes_are_in_the_apps_own_document() -> None:
    """The app's own schemas stay, ours have names of their own, and all is there."""
    auth = Auth("memory:")
    app = app_with(auth)
    document = app.openapi()
    assert {"/hello", f"{BASE}/login", "/oauth/token"} <= set(document["paths"])
    assert set(document["components"]["securitySchemes"]) >= {"bearer"}
    assert all(
        name.startswith("Watchword") for name in document["components"]["schemas"]
    )
    assert "/healthz" not in document["paths"]
    for name in references(document):
        assert name in document["components"]["schemas"]
    with TestClient(app) as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").json()["paths"] == document["paths"]


def test_the_authorize_box_takes_a_name_and_a_password(folder: Path) -> None:
    """As Swagger UI sends them, and on every operation that a token opens."""
    del folder
    auth = Auth("memory:")
    site = FastAPI(lifespan=auth.lifespan)
    app = app_with(auth)
    site.mount("/v1", app)
    document = app.openapi()
    scheme = document["components"]["securitySchemes"]["password"]
    assert scheme["type"] == "oauth2"
    for path in ("/hello", "/admin", f"{BASE}/me"):
        security = document["paths"][path]["get"]["security"]
        assert [*security] == [{"password": []}, {"bearer": []}]
    place = "/v1/" + scheme["flows"]["password"]["tokenUrl"]
    sent = {"Authorization": "Basic Og==", "X-Requested-With": "XMLHttpRequest"}
    form = {"grant_type": "password", "username": NAME, "password": PASSWORD}
    with TestClient(site) as client:
        call(client, auth.register, NAME, PASSWORD)
        tokens = client.post(place, data=form, headers=sent).json()
        assert set(tokens) == {"access_token", "token_type", "expires_in"}
        access = bearer(tokens["access_token"])
        assert client.get("/v1/hello", headers=access).status_code == 200
        wrong = client.post(place, data=form | {"password": "x"}, headers=sent)
        assert code_of(wrong) == "invalid_credentials"
        assert code_of(client.post(place, data=form)) == "csrf_rejected"
        large = client.post(place, content=b"a" * 40_000, headers=sent)
        assert code_of(large) == "payload_too_large"
        empty = client.post(place, data={"scope": ""}, headers=sent)
        assert code_of(empty) == "invalid_request"


def test_who_goes_away_from_that_box_leaves_no_traceback() -> None:
    app = app_with(Auth("memory:"))
    arriving = [
        {"type": "http.request", "body": b"user", "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"{BASE}/docs-token",
        "query_string": b"",
        "headers": [(b"x-requested-with", b"XMLHttpRequest")],
    }
    sent = list[Any]()

    async def receive() -> Any:
        return arriving.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # raises what a server would log
    assert sent[0]["status"] == 400


def test_an_app_without_that_page_has_no_such_way_in() -> None:
    auth = Auth("memory:")
    app = FastAPI(lifespan=auth.lifespan, docs_url=None)
    auth.mount(app)
    assert "password" not in app.openapi()["components"]["securitySchemes"]
    with TestClient(app) as client:
        answer = client.post("/api/auth/docs-token", data={"username": NAME})
        assert answer.status_code == 404


def references(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(references, part))
    if not isinstance(part, dict):
        return set()
    here = {part["$ref"].rpartition("/")[2]} if "$ref" in part else set()
    return here.union(*map(references, part.values()))


SHOP: Any = {
    "issuer": "https://shop.example/v1",
    "secret": "a-secret-of-these-tests-0123456789-abcdef",
}


def test_an_app_below_a_path_is_where_its_issuer_says() -> None:
    auth = Auth("memory:", **SHOP)
    site = FastAPI(lifespan=auth.lifespan)
    inner = FastAPI()
    auth.mount(inner)
    router = APIRouter(dependencies=[Depends(auth.session)])
    router.add_api_route("/hello", lambda: {"hello": "there"})
    inner.include_router(router)
    site.mount("/v1", inner)
    with TestClient(site, base_url="https://shop.example") as client:
        call(client, auth.register, NAME, PASSWORD)
        body = {"username": NAME, "password": PASSWORD}
        tokens = client.post(f"/v1{BASE}/login", json=body).json()
        found = client.get("/v1/hello", headers=bearer(tokens["accessToken"]))
        assert found.json() == {"hello": "there"}
        place = "/v1/.well-known/oauth-authorization-server"
        metadata = client.get(place).json()
        assert metadata["token_endpoint"] == "https://shop.example/v1/oauth/token"


@pytest.mark.parametrize("pages", [True, "/id", False])
def test_an_app_with_pages_of_ours_has_the_whole_door_below_its_path(
    pages: bool | str,  # noqa: FBT001 - as `mount` takes it
) -> None:
    """And publishes no door without them: then it could not ask its users."""
    site = FastAPI(lifespan=(auth := Auth("memory:", **SHOP)).lifespan)
    auth.mount(inner := FastAPI(), pages=pages)
    site.mount("/v1", inner)
    prefix = pages if isinstance(pages, str) else ""
    with TestClient(site, base_url="https://shop.example") as client:
        found = client.get("/v1/.well-known/openid-configuration").json()
        place = "/v1/.well-known/oauth-authorization-server"
        assert found.items() <= client.get(place).json().items()
        assert ("authorization_code" in found["grant_types_supported"]) == bool(pages)
        for name, path in (
            ("authorization", f"{prefix}/oauth/authorize"),
            ("end_session", f"{prefix}/oauth/logout"),
            ("userinfo", "/oauth/userinfo"),
        ):
            url = found.get(f"{name}_endpoint")
            assert url == (f"https://shop.example/v1{path}" if pages else None)
            if url is not None:
                assert client.get(url).status_code in {200, 400, 401}
        if not pages:
            return
        asked = {
            "client_id": "first-party",
            "redirect_uri": LOOPBACK[0],
            "response_type": "code",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
        authorize = f"/v1{prefix}/oauth/authorize"
        wrong, page = client.get(authorize), client.get(authorize, params=asked)
        assert page.url.path == f"/v1{prefix}/sign-in"
        for shown in (wrong, page):
            (style,) = re.findall(r'href="([^"]+\.css)"', shown.text)
            assert client.get(shown.url.join(style)).status_code == 200


def test_a_forgotten_lifespan_is_said_in_so_many_words() -> None:
    client = TestClient(app_with(Auth("memory:")))  # not entered
    for path in ("/hello", f"{BASE}/me"):
        with pytest.raises(RuntimeError, match=r"lifespan=auth\.lifespan"):
            client.get(path, headers=bearer("x"))
