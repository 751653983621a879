"""What every framework has to do, told to any client that speaks HTTP."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.integrations.fakes import FakeIssuer
from tests.mail.mailbox import Mailbox
from tests.pages import ROOT

NAME: Final = "ann"
PASSWORD: Final = "four words make a phrase"
BASE: Final = "/api/auth"


def example(name: str, *, keep: bool = False) -> ModuleType:
    """A program of `examples/`, run as it is printed, in the current folder.

    `keep`: under its name, for frameworks that look it up.
    """
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations are looked up there
    try:
        spec.loader.exec_module(module)
    finally:
        if not keep:
            del sys.modules[name]
    return module


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code_of(answer: Any) -> str:
    """`ok`, or the code of the problem that it must then be.

    Django REST framework writes its errors itself, with the same members, but for
    a token that is missing.
    """
    if answer.status_code < 400:
        return "ok"
    if answer.headers["content-type"] == "application/json":
        problem = {"status": answer.status_code, "code": "token_missing"}
        problem |= answer.json()
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        problem = answer.json()
    assert problem["status"] == answer.status_code
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith(("Bearer realm=", "DPoP"))
    return str(problem["code"])


def login(client: Any, name: str = NAME, password: str = PASSWORD) -> Any:
    body = {"username": name, "password": password}
    answer = client.post(f"{BASE}/login", json=body)
    assert code_of(answer) == "ok"
    return answer.json()


def embedded_story(
    client: Any, subject: str | None = None, *, own_users: bool = False
) -> None:
    """Sign in, call, refresh, log out, and be refused, in an app with `/hello`."""
    wrong = {"username": NAME, "password": "not the password"}
    answer = client.post(f"{BASE}/login", json=wrong)
    assert (answer.status_code, code_of(answer)) == (401, "invalid_credentials")
    assert code_of(client.get("/hello")) == "token_missing"

    first = login(client)
    answer = client.get("/hello", headers=bearer(first["accessToken"]))
    assert answer.status_code == 200
    me = client.get(f"{BASE}/me", headers=bearer(first["accessToken"])).json()
    assert answer.json()["hello"] == me["sub"]
    assert subject in (None, me["sub"])

    body = {"refreshToken": first["refreshToken"]}
    second = client.post(f"{BASE}/refresh", json=body).json()
    fresh = bearer(second["accessToken"])
    assert client.get("/hello", headers=fresh).status_code == 200
    assert code_of(client.post(f"{BASE}/refresh", json=body)) == "refresh_reused"

    third = login(client)
    answer = client.post(f"{BASE}/logout", json={"refreshToken": third["refreshToken"]})
    assert answer.json() == {"message": "Logged out successfully"}
    # The reuse ended the session of the first two, the logout that of the third.
    for tokens in (second, third):
        refused = client.get("/hello", headers=bearer(tokens["accessToken"]))
        assert code_of(refused) == "token_revoked"
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    # A path with a parameter, of a user's device, and behind a well-known name.
    fourth = login(client)
    mine = bearer(fourth["accessToken"])
    changed = client.patch(f"{BASE}/account", json={"locale": "de"}, headers=mine)
    shown = client.get(f"{BASE}/account", headers=mine)
    if own_users:
        assert (changed.status_code, shown.status_code) == (404, 404)
    else:
        assert shown.json() == changed.json()
        assert shown.json()["locale"] == "de"
    ended = client.delete(f"{BASE}/sessions/{fourth['sessionId']}", headers=mine)
    assert code_of(ended) == "ok"
    assert code_of(client.get("/hello", headers=mine)) == "token_revoked"
    behind = client.get("/.well-known/oauth-authorization-server/nothing")
    assert code_of(behind) == "not_found"
    # The host answers what is not ours, in its own way.
    assert client.get(f"{BASE}/nothing").status_code == 404
    one_spelling_story(client)


def one_spelling_story(client: Any) -> None:
    """No framework redirects a body, for the redirect may lead to plain HTTP."""
    body = {"username": NAME, "password": PASSWORD}
    for path in ("/api/auth/login/", "/api/auth/login//", "/api//auth/login"):
        answer = client.post(path, json=body, follow_redirects=False)
        assert answer.status_code == 404, (path, answer.headers.get("location"))
    for path in ("/oauth/token/", "/.well-known/jwks.json/", "/watchword.js/"):
        assert client.get(path, follow_redirects=False).status_code == 404


def account_story(client: Any) -> str:
    """A user registers, confirms by mail, and is known to the app's own route.

    Returns the subject of the account.
    """
    user = {"email": "ann@example.org", "password": PASSWORD}
    assert 'autocomplete="new-password"' in client.get("/register").text
    asked = client.post(f"{BASE}/register", json=user)
    assert asked.status_code == 202
    body = {
        "token": Mailbox(Path()).token_to(user["email"]),
        "registration": asked.json()["registration"],
    }
    tokens = client.post(f"{BASE}/register/confirm", json=body).json()
    access = bearer(tokens["accessToken"])
    assert client.get("/orders", headers=access).json() == {
        "of": user["email"],
        "orders": [],
    }
    assert code_of(client.get("/orders")) == "token_missing"
    login(client, user["email"])
    assert code_of(client.post(f"{BASE}/password/forgot", json=user)) == "ok"
    return str(client.get(f"{BASE}/me", headers=access).json()["sub"])


def resource_story(client: Any, elsewhere: FakeIssuer) -> None:
    """An API with `/hello`, and `/orders` for the scope of that name."""
    mint = elsewhere.mint
    good = bearer(mint.token())
    assert client.get("/hello", headers=good).json() == {"hello": "u"}
    # The scheme in any case; never from the query (RFC 6750 §2.1, RFC 9700 §4.3.2).
    spelled = {"authorization": f"bEARER  {mint.token()}"}
    assert client.get("/hello", headers=spelled).status_code == 200
    answer = client.get("/hello", params={"access_token": mint.token()})
    assert (answer.status_code, code_of(answer)) == (401, "token_missing")
    assert "error=" not in answer.headers["www-authenticate"]

    now = mint.payload()["iat"]
    refusals = {
        mint.with_claims(exp=now, iat=now - 60): "token_expired",
        mint.with_claims(aud="another"): "token_invalid",
        "no.jwt.atall": "token_invalid",
    }
    for token, code in refusals.items():
        answer = client.get("/hello", headers=bearer(token))
        assert (answer.status_code, code_of(answer)) == (401, code)
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    answer = client.get("/hello", headers={"Authorization": "Bearer two tokens"})
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")

    answer = client.get("/orders", headers=good)
    assert (answer.status_code, code_of(answer)) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="orders"' in answer.headers["www-authenticate"]
    allowed = bearer(mint.with_claims(scope="orders:list orders"))
    assert client.get("/orders", headers=allowed).json() == ["order 1"]
    # No proof can be checked where the API does not know its address.
    answer = client.get("/hello", headers={"Authorization": f"DPoP {mint.token()}"})
    assert (answer.status_code, code_of(answer)) == (401, "token_invalid")

    elsewhere.ended.add("s")
    assert code_of(client.get("/hello", headers=good)) == "token_revoked"
    elsewhere.is_cut_off = True
    answer = client.get("/hello", headers=good)
    assert (answer.status_code, code_of(answer)) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "www-authenticate" not in answer.headers


def bound_story(client: Any, elsewhere: FakeIssuer) -> None:
    """An API that knows its address has proofs checked for it, whatever Host says."""
    token = elsewhere.mint.with_claims(cnf={"jkt": "k"})
    headers = {
        "Authorization": f"DPoP {token}",
        "DPoP": "proof",
        "Host": "evil.example",
    }
    answer = client.get("/hello", params={"page": 2}, headers=headers)
    assert answer.status_code == 200
    assert elsewhere.proofs == [("proof", "GET", "https://api.example/v1/hello")]
    answer = client.get("/hello", headers={"Authorization": "DPoP no.jwt.atall"})
    assert answer.headers["www-authenticate"].startswith(
        'DPoP realm="watchword", error'
    )
    assert ', Bearer realm="watchword"' in answer.headers["www-authenticate"]
