"""Authlib: sessions that refresh by themselves, and sign-ins by browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.base_client import (  # type: ignore[import-untyped]
    OAuthError,
)
from authlib.integrations.httpx_client import (  # type: ignore[import-untyped]
    AsyncOAuth2Client,
    OAuth2Client,
)
from authlib.integrations.requests_client import (  # type: ignore[import-untyped]
    OAuth2Session,
)
from authlib.integrations.starlette_client import (  # type: ignore[import-untyped]
    OAuth,
)
from starlette.requests import Request

from tests.strangers.site import BACK, Known, Site
from tests.walking import Walker

LIBRARIES = (OAuth2Session, OAuth2Client)
METHODS = ("none", "client_secret_basic", "client_secret_post")

Open = Callable[..., Any]


def who(site: Site, method: str) -> Known:
    return site.app if method == "none" else site.shop


@pytest.fixture(params=LIBRARIES, ids=lambda kind: kind.__module__.split(".")[2])
def open_as(request: pytest.FixtureRequest, site: Site) -> Open:
    """A session of the library, for a client that authenticates by this method."""

    def opened(client: Known, method: str, **options: Any) -> Any:
        return request.param(
            client.id,
            client.secret,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            token_endpoint=site.metadata()["token_endpoint"],
            **options,
        )

    return opened


@pytest.mark.parametrize("method", METHODS)
def test_it_refreshes_an_expired_token_by_itself(
    site: Site, open_as: Open, method: str
) -> None:
    """It asks for a new token when the old one is over, and again, and again."""
    client, updates = who(site, method), []

    def update(token: Any, refresh_token: Any = None, access_token: Any = None) -> None:
        updates.append((token["refresh_token"], refresh_token))

    token = site.token(client, expired=True)
    with open_as(client, method, token=token, update_token=update) as session:
        for round_ in range(1, 4):
            spent = session.token["refresh_token"]
            assert session.get(site.secure).status_code == 200
            assert len(updates) == round_
            assert updates[-1] == (session.token["refresh_token"], spent)
            session.token = {**session.token, "expires_at": 1}


def test_threads_that_refresh_at_once_are_not_signed_out(
    site: Site, open_as: Open
) -> None:
    """It sends no key; a client as `clients add` makes it has a grace for that."""
    token = site.token(site.office)

    def refresh(_: int) -> str:
        with open_as(site.office, "none", token=token) as session:
            return str(session.refresh_token()["refresh_token"])

    with ThreadPoolExecutor(10) as threads:
        (successor,) = set(threads.map(refresh, range(10)))
    with open_as(site.office, "none", token=token) as session:
        assert session.refresh_token(refresh_token=successor)["access_token"]


@pytest.mark.parametrize("method", METHODS)
def test_a_spent_token_is_invalid_grant(site: Site, open_as: Open, method: str) -> None:
    client = who(site, method)
    with open_as(client, method, token=site.token(client)) as session:
        spent = session.token["refresh_token"]
        session.refresh_token()
        for token in (spent, session.token["refresh_token"]):
            with pytest.raises(OAuthError) as refused:
                session.refresh_token(refresh_token=token)
            assert refused.value.error == "invalid_grant"


@pytest.mark.parametrize("method", METHODS)
def test_it_revokes(site: Site, open_as: Open, method: str) -> None:
    client = who(site, method)
    endpoint = site.metadata()["revocation_endpoint"]
    for hint in (None, "refresh_token", "access_token"):
        with open_as(client, method, token=site.token(client)) as session:
            assert session.get(site.secure).status_code == 200
            answer = session.revoke_token(endpoint, token_type_hint=hint)
            assert answer.status_code == 200
            assert session.get(site.secure).status_code == 401
            with pytest.raises(OAuthError, match="invalid_grant"):
                session.refresh_token()


@pytest.mark.parametrize("method", METHODS[1:])
def test_it_introspects(site: Site, open_as: Open, method: str) -> None:
    endpoint = site.metadata()["introspection_endpoint"]
    tokens = site.login(site.app)
    with open_as(site.catalogue, method) as session:

        def told() -> Any:
            return session.introspect_token(
                endpoint, token=tokens["accessToken"]
            ).json()

        assert (told()["active"], told()["client_id"]) == (True, site.app.id)
        logout = {"refreshToken": tokens["refreshToken"]}
        site.live.call("POST", "/api/auth/logout", logout)
        assert told() == {"active": False}


@pytest.mark.parametrize("method", METHODS[1:])
def test_it_gets_a_token_of_the_client_and_renews_it(
    site: Site, open_as: Open, method: str
) -> None:
    """A token of client credentials has no refresh token: it is asked for again."""
    with open_as(site.shop, method, scope="read") as session:
        token = session.fetch_token()
        assert token["token_type"] == "Bearer"
        assert "refresh_token" not in token
        first = token["access_token"]
        session.token = {**token, "expires_at": 1}
        session.get(site.secure)
        assert session.token["access_token"] != first


def test_a_wrong_secret_is_invalid_client(site: Site, open_as: Open) -> None:
    wrong = Known(site.shop.id, "not-the-secret")
    for method in METHODS[1:]:
        with (
            open_as(wrong, method) as session,
            pytest.raises(OAuthError, match="invalid_client"),
        ):
            session.fetch_token()


async def test_of_many_requests_at_once_one_refreshes(site: Site) -> None:
    """Else the second would present a spent token, and end the session."""
    endpoint = site.metadata()["token_endpoint"]
    token = site.token(site.app, expired=True)
    async with AsyncOAuth2Client(
        site.app.id,
        token=token,
        token_endpoint=endpoint,
        token_endpoint_auth_method="none",
    ) as session:
        answers = await asyncio.gather(*[session.get(site.secure) for _ in range(8)])
        assert [answer.status_code for answer in answers] == [200] * 8
        session.token = {**session.token, "expires_at": 1}
        assert (await session.get(site.secure)).status_code == 200


@pytest.mark.parametrize("method", METHODS)
async def test_its_user_signs_in_by_browser(site: Site, method: str) -> None:
    """From the issuer alone: it validates the ID token, and asks for the user."""
    known = site.phone if method == "none" else site.portal
    registry = OAuth()
    app = registry.register(
        "watchword",
        client_id=known.id,
        client_secret=known.secret,
        server_metadata_url=f"{site.issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile",
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": method,
        },
    )
    session: dict[str, Any] = {}

    def request(query: str = "") -> Request:
        scope = {"type": "http", "query_string": query.encode(), "session": session}
        return Request(scope)

    leaves = await app.authorize_redirect(request(), BACK)
    address = leaves.headers["location"]
    landed = await asyncio.to_thread(Walker(site.issuer).walk, address)
    token = await app.authorize_access_token(request(urlsplit(landed).query))
    claims = token["userinfo"]
    assert claims["nonce"] in address
    user = await app.userinfo(token=token)
    assert (user["sub"], user["preferred_username"]) == (claims["sub"], "admin")
