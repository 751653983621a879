"""Every kind of token that we mint, before PyJWT and jwcrypto.

They know the issuer and fetch the keys themselves; tests/verify/test_second_opinions.py
has the same libraries look at the parts.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import jwt
import pytest
import requests
from jwcrypto import jwk  # type: ignore[import-untyped]
from jwcrypto import jwt as jwcrypto_jwt

from tests.patience import PATIENCE
from tests.strangers.node import resource_server
from tests.strangers.site import BASE, USER, Known, Site, open_site
from tests.verify.minting import ALGORITHMS

ACCESS = "at+jwt"
INTROSPECTION = "token-introspection+jwt"
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]


class Mint:
    """One issuer, whose tokens and keys come over HTTP."""

    def __init__(self, site: Site, alg: str) -> None:
        self.site = site
        self.alg = alg
        self.metadata = site.metadata()
        self._client = jwt.PyJWKClient(self.metadata["jwks_uri"])
        published = requests.get(self.metadata["jwks_uri"], timeout=PATIENCE).text
        self._keys = jwk.JWKSet.from_json(published)
        self.proving = jwk.JWK.generate(kty="EC", crv="P-256")

    def call(self, endpoint: str, client: Known, **form: str) -> requests.Response:
        headers = {"Accept": form.pop("accept", "application/json")}
        auth = None
        if client.secret is None:
            form["client_id"] = client.id
        else:
            auth = (client.id, client.secret)
        answer = requests.post(
            self.metadata[f"{endpoint}_endpoint"],
            data=form,
            auth=auth,
            headers=headers,
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        return answer

    def proof(self, path: str, nonce: str | None) -> str:
        """A DPoP proof as PyJWT makes it."""
        claims = {
            "htm": "POST",
            "htu": f"{self.site.issuer}{path}",
            "jti": str(uuid.uuid4()),
            "iat": int(time.time()),
        } | ({"nonce": nonce} if nonce else {})
        public = self.proving.export_public(as_dict=True)
        public.pop("kid", None)
        private = self.proving.export_to_pem(private_key=True, password=None)
        headers = {"typ": "dpop+jwt", "jwk": public}
        return jwt.encode(claims, private, algorithm="ES256", headers=headers)

    @cached_property
    def user(self) -> str:
        return str(self.site.login()["accessToken"])

    @cached_property
    def refreshed(self) -> str:
        app = self.site.app
        tokens = self.site.login(app, scope="read write")
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refreshToken"]}
        return str(self.call("token", app, **form).json()["access_token"])

    @cached_property
    def client(self) -> str:
        form = {"grant_type": "client_credentials", "scope": "read"}
        return str(self.call("token", self.site.shop, **form).json()["access_token"])

    @cached_property
    def bound(self) -> str:
        path = f"{BASE}/login"
        early = self.proof(path, None)
        refused = self.site.live.call("POST", path, USER, DPoP=early)
        assert refused.code == "use_dpop_nonce"
        nonce = refused.headers["dpop-nonce"]
        return str(self.site.login(proof=self.proof(path, nonce))["accessToken"])

    def introspected(self, token: str) -> str:
        answer = self.call(
            "introspection",
            self.site.catalogue,
            token=token,
            accept=f"application/{INTROSPECTION}",
        )
        assert answer.headers["Content-Type"] == f"application/{INTROSPECTION}"
        return answer.text

    def by_pyjwt(self, token: str, typ: str, audience: str, required: list[str]) -> Any:
        header = jwt.get_unverified_header(token)
        assert (header["typ"], header["alg"]) == (typ, self.alg)
        return jwt.decode(
            token,
            self._client.get_signing_key_from_jwt(token),
            algorithms=[self.alg],
            issuer=self.site.issuer,
            audience=audience,
            options={"require": required},
        )

    def by_jwcrypto(self, token: str, audience: str) -> Any:
        checked = jwcrypto_jwt.JWT(
            jwt=token,
            key=self._keys,
            algs=[self.alg],
            expected_type="JWS",
            check_claims={"iss": self.site.issuer, "aud": audience},
        )
        return json.loads(checked.claims)

    def agreed(
        self, token: str, typ: str = ACCESS, audience: str = "api"
    ) -> dict[str, Any]:
        """The claims, as both libraries read them."""
        required = REQUIRED if typ == ACCESS else ["iss", "aud", "iat"]
        claims: dict[str, Any] = self.by_pyjwt(token, typ, audience, required)
        assert self.by_jwcrypto(token, audience) == claims
        return claims


@pytest.fixture(scope="module", params=ALGORITHMS)
def mint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mint]:
    data = tmp_path_factory.mktemp(request.param) / "data"
    with open_site(data, request.param) as site:
        yield Mint(site, request.param)


def test_a_user_token(mint: Mint) -> None:
    """It says who signed in, how and when."""
    claims = mint.agreed(mint.user)
    assert claims["client_id"] == "first-party"
    assert (claims["amr"], claims["acr"]) == (["pwd"], "aal1")
    assert claims["auth_time"] <= claims["iat"] < claims["exp"]
    assert claims["sub"] != claims["client_id"]
    assert {"sid"} <= set(claims)
    assert not {"cnf", "scope"} & set(claims)


def test_a_refreshed_token_with_a_scope(mint: Mint) -> None:
    claims = mint.agreed(mint.refreshed)
    assert claims["client_id"] == mint.site.app.id
    assert claims["scope"] == "read write"


def test_a_client_token(mint: Mint) -> None:
    """It is of no user, and says so."""
    claims = mint.agreed(mint.client)
    assert claims["sub"] == claims["client_id"] == mint.site.shop.id
    assert claims["scope"] == "read"
    assert not {"sid", "auth_time", "amr", "acr", "roles"} & set(claims)


def test_a_token_bound_by_dpop(mint: Mint) -> None:
    """Its `cnf` is the thumbprint that jwcrypto computes of the key (RFC 7638)."""
    claims = mint.agreed(mint.bound)
    assert claims["cnf"] == {"jkt": mint.proving.thumbprint()}


def test_a_signed_introspection(mint: Mint) -> None:
    """It is for its caller, of the token's claims, and of a dead token says nothing."""
    caller = mint.site.catalogue.id
    for token in (mint.user, mint.refreshed, mint.client, mint.bound):
        claims = mint.agreed(mint.introspected(token), INTROSPECTION, caller)
        assert set(claims) == {"iss", "aud", "iat", "token_introspection"}
        told = claims["token_introspection"]
        own = mint.agreed(token)
        assert told["active"] is True
        assert {name: told.get(name) for name in REQUIRED} == {
            name: own[name] for name in REQUIRED
        }
    claims = mint.agreed(mint.introspected("no-token"), INTROSPECTION, caller)
    assert claims["token_introspection"] == {"active": False}


def test_a_signed_introspection_opens_nothing(mint: Mint) -> None:
    assert mint.site.opens(mint.user)
    assert not mint.site.opens(mint.introspected(mint.user))


def test_a_resource_server_by_jose(mint: Mint) -> None:
    """It takes access tokens of users and clients, and nothing else."""
    with resource_server(mint.site.issuer, "api") as api:

        def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return requests.get(api, headers=headers, timeout=PATIENCE).status_code

        for token in (mint.user, mint.refreshed, mint.client):
            assert status(token) == 200
            assert status(mint.introspected(token)) == 401
