"""requests-oauthlib, whose sessions refresh with what they are told to add."""

from __future__ import annotations

from typing import Any

import pytest
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidScopeError,
)
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tests.strangers.site import Site


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.parametrize("method", ["none", "client_secret_post"])
@pytest.mark.parametrize("scope", [None, ["read", "write"]])
def test_it_refreshes_an_expired_token_by_itself(
    site: Site, method: str, scope: list[str] | None
) -> None:
    """With the client's id, and its secret, as extra arguments of the refresh."""
    client = site.app if method == "none" else site.shop
    asked = {"scope": " ".join(scope)} if scope else {}
    extra = {"client_id": client.id}
    if client.secret:
        extra["client_secret"] = client.secret
    kept: list[Any] = []
    session: Any = OAuth2Session(
        client.id,
        token=site.token(client, expired=True, **asked),
        scope=scope,
        auto_refresh_url=site.metadata()["token_endpoint"],
        auto_refresh_kwargs=extra,
        token_updater=kept.append,
    )
    with session:
        for round_ in range(1, 4):
            assert session.get(site.secure).status_code == 200
            assert len(kept) == round_
            session.token = {**kept[-1], "expires_at": 1.0}
    assert len({token["refresh_token"] for token in kept}) == 3


def test_it_refreshes_with_basic(site: Site) -> None:
    """The id and the secret, given with the call that finds the token expired."""
    kept: list[Any] = []
    session: Any = OAuth2Session(
        site.shop.id,
        token=site.token(site.shop, expired=True),
        auto_refresh_url=site.metadata()["token_endpoint"],
        token_updater=kept.append,
    )
    with session:
        answer = session.get(
            site.secure, client_id=site.shop.id, client_secret=site.shop.secret
        )
    assert (answer.status_code, len(kept)) == (200, 1)


def test_what_is_refused_has_its_own_exception(site: Site) -> None:
    """The error codes of RFC 6749 section 5.2 are those that oauthlib knows."""
    endpoint = site.metadata()["token_endpoint"]
    token = site.token(site.app, scope="read")
    with OAuth2Session(site.app.id, token=token) as session:
        session.scope = ["read", "write"]
        with pytest.raises(InvalidScopeError):
            session.refresh_token(endpoint, client_id=site.app.id)
        session.scope = ["read"]
        session.refresh_token(endpoint, client_id=site.app.id)
        for spent in (token["refresh_token"], "no-token"):
            with pytest.raises(InvalidGrantError):
                session.refresh_token(
                    endpoint, refresh_token=spent, client_id=site.app.id
                )
        with pytest.raises(InvalidClientError):
            session.refresh_token(endpoint, client_id="no-such-client")


def test_it_gets_a_token_of_the_client(site: Site) -> None:
    """With basic and with post."""
    endpoint = site.metadata()["token_endpoint"]
    backend = BackendApplicationClient(site.shop.id, scope=["read"])
    secret = str(site.shop.secret)
    for how in (
        {"auth": HTTPBasicAuth(site.shop.id, secret)},
        {"client_secret": secret, "include_client_id": True},
    ):
        with OAuth2Session(client=backend) as session:
            token = session.fetch_token(endpoint, **how)
            assert token["scope"] == ["read"]
            assert "refresh_token" not in token
    with OAuth2Session(client=backend) as session, pytest.raises(InvalidClientError):
        session.fetch_token(endpoint, client_secret="wrong", include_client_id=True)


def test_it_revokes(site: Site) -> None:
    """By the request that oauthlib prepares."""
    endpoint = site.metadata()["revocation_endpoint"]
    token = site.token(site.app)
    opened: Any = OAuth2Session(site.app.id, token=token)
    with opened as session:
        url, headers, body = session._client.prepare_token_revocation_request(
            endpoint, token["refresh_token"], "refresh_token", client_id=site.app.id
        )
        answer = session.post(url, data=body, headers=headers, withhold_token=True)
        assert answer.status_code == 200
        assert session.get(site.secure).status_code == 401
