"""A resource server by panva/jose that knows the issuer and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests

from tests.patience import PATIENCE, until
from tests.strangers.node import resource_server
from tests.strangers.site import Site
from tests.verify.minting import Mint, mac, nothing, private_key
from watchword.bootstrap import Watchword
from watchword.core.session import Authenticated, SessionOptions

AUDIENCE = "api"


class Api:
    """The resource server, as a caller sees it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def takes(self, token: str) -> str:
        """`ok`, or why not."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(self._url, headers=headers, timeout=PATIENCE)
        assert answer.status_code in {200, 401}
        return "ok" if answer.status_code == 200 else str(answer.json()["code"])


@pytest.fixture(scope="module")
def api(site: Site) -> Iterator[Api]:
    with resource_server(site.issuer, AUDIENCE) as url:
        yield Api(url)


def kid(token: str) -> Any:
    return jwt.get_unverified_header(token)["kid"]


def test_it_takes_tokens_of_before_and_after_a_rotation_of_keys(
    site: Site, api: Api
) -> None:
    """A rotation needs no restart of a resource server, and loses no token."""
    before = site.login()["accessToken"]
    assert api.takes(before) == "ok"
    active = site.terminal.json("keys", "rotate")["active"]
    until(lambda: kid(site.login()["accessToken"]) == active)  # it follows the ring
    after = site.login()["accessToken"]
    assert kid(before) != active
    assert (api.takes(before), api.takes(after)) == ("ok", "ok")


def test_another_audience_does_not_take_it(site: Site) -> None:
    with resource_server(site.issuer, "another-api") as url:
        refused = Api(url).takes(site.login()["accessToken"])
    assert refused == "ERR_JWT_CLAIM_VALIDATION_FAILED"


def test_an_expired_token_is_refused(site: Site, api: Api) -> None:
    options = SessionOptions(client_id=site.app.id)

    async def sign_in(watchword: Watchword) -> str:
        user = Authenticated.by_password(bytes(16), at=watchword.clock())
        tokens = await watchword.sessions.start(user, options)
        return tokens.access_token

    token = site.terminal.engine(sign_in, ago=600, issuer=site.issuer)
    assert api.takes(token) == "ERR_JWT_EXPIRED"


def test_what_is_no_access_token_is_refused(site: Site, api: Api) -> None:
    tokens = site.login()
    header = {"Accept": "application/token-introspection+jwt"}
    told = requests.post(
        site.metadata()["introspection_endpoint"],
        data={"token": tokens["accessToken"]},
        headers=header,
        auth=(site.catalogue.id, str(site.catalogue.secret)),
        timeout=PATIENCE,
    )
    assert api.takes(told.text) == "ERR_JWT_CLAIM_VALIDATION_FAILED"
    assert api.takes(tokens["refreshToken"]) == "ERR_JWS_INVALID"


def test_what_watchword_did_not_sign_is_refused(site: Site, api: Api) -> None:
    """Its own key id and claims, and every signature but the right one."""
    genuine = site.login()["accessToken"]
    claims = jwt.decode(genuine, options={"verify_signature": False})
    mint = Mint(private_key("ES256"), "ES256", now=0)
    own = {"kid": kid(genuine)}
    keys = requests.get(site.metadata()["jwks_uri"], timeout=PATIENCE).content
    head, body, signature = genuine.split(".")
    for token in (
        mint.token(mint.header(**own), claims),
        mint.token(mint.header(**own, jwk=mint.key.jwk()), claims),
        mint.token(mint.header(**own, alg="none"), claims, nothing),
        mint.token(mint.header(**own, alg="HS256"), claims, mac(keys)),
        mint.token(mint.header(), claims),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
    ):
        assert api.takes(token) != "ok", token
