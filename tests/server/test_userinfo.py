"""The claims of a user: by which token, by which scopes, and how they are asked for."""

from __future__ import annotations

from typing import Any, Final

import httpx2
import pytest_asyncio

from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of
from tests.verify.proving import Prover, ath_of
from watchword.core.actor import APP, EndReason
from watchword.core.session import SessionOptions, TokenSet
from watchword.ports.audit import Event, EventType
from watchword.ports.clients import Client
from watchword.ports.sessions import ById

PATH: Final = "/oauth/userinfo"
ADDRESS: Final = "alice@a.example"
EVERYTHING: Final = ("openid", "profile", "email", "roles")


class Asking:
    """Alice, who has an address and a role, and tokens of hers."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.client = api.client
        self.id = b""

    async def make_user(self) -> None:
        accounts, service = self.api.engine.accounts, self.api.engine.self_service
        assert service is not None
        self.id = (await accounts.get("alice")).id
        await accounts.set_roles(self.id, ["editor"])
        self.api.clock.advance(60_000)
        await service.email_changes.assign(self.id, ADDRESS, confirmed=True, by=APP)

    async def tokens(self, *scope: str, **options: Any) -> TokenSet:
        given = SessionOptions(client_id="first-party", scope=scope, **options)
        sign_in = self.api.engine.sign_in.by_password
        return await sign_in("alice", PASSWORD, given, address="192.0.2.1")

    async def token(self, *scope: str, **options: Any) -> str:
        return (await self.tokens(*scope, **options)).access_token

    async def get(self, token: str) -> httpx2.Response:
        return await self.client.get(PATH, headers=bearer(token))


@pytest_asyncio.fixture
async def alice(api: LocalApi) -> Asking:
    asking = Asking(api)
    await asking.make_user()
    return asking


async def test_each_scope_stands_for_its_claims_and_for_no_others(
    alice: Asking,
) -> None:
    """OpenID Connect Core §5.4. They are those of now, not of the sign-in."""
    account = await alice.api.engine.accounts.get("alice")
    sub, updated = {"sub": account.subject}, account.created_at // 1000 + 60
    roles = {"roles": ["editor"], "groups": ["editor"]}
    profile = {"preferred_username": "alice", "updated_at": updated}
    email = {"email": ADDRESS, "email_verified": True}
    for scope, claims in (
        ((), {}),
        (("profile",), profile),
        (("email",), email),
        (("roles",), roles),
        (("profile", "email", "roles", "offline_access"), profile | email | roles),
    ):
        answer = await alice.get(await alice.token("openid", *scope))
        assert answer.json() == sub | claims
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
    token, less = await alice.token(*EVERYTHING), await alice.token("openid", "profile")
    await alice.api.engine.accounts.set_roles(alice.id, [])
    now = (await alice.get(token)).json()
    assert (now["roles"], now["groups"]) == ([], [])
    # A name that is an address is told as one.
    await alice.api.engine.accounts.update_profile(alice.id, username="")
    assert set((await alice.get(less)).json()) == {"sub", "updated_at"}
    assert (await alice.get(token)).json()["preferred_username"] == ADDRESS


async def test_it_is_asked_by_get_or_post_with_the_token_once(alice: Asking) -> None:
    """RFC 6750 §2.1 and §2.2. A query is never read."""
    token = await alice.token(*EVERYTHING)
    client, head, form = alice.client, bearer(token), {"access_token": token}
    expected = (await alice.get(token)).json()
    for answer in (
        await client.post(PATH, headers=head),
        await client.post(PATH, headers=head, data={"other": "x"}),
        await client.post(PATH, headers=head, json={}),
        await client.post(PATH, data=form),
    ):
        assert (answer.status_code, answer.json()) == (200, expected)
    for sent, status, code in (
        (client.get(PATH), 401, "token_missing"),
        (client.get(PATH, params=form), 401, "token_missing"),
        (client.post(PATH), 401, "token_missing"),
        (client.post(PATH, params=form), 401, "token_missing"),
        (client.post(PATH, json=form), 401, "token_missing"),
        (client.post(PATH, data=form, headers=head), 400, "invalid_request"),
        (client.post(PATH, data={"access_token": "x"}), 401, "token_invalid"),
    ):
        answer = await sent
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_what_is_no_token_for_it_is_refused_with_a_challenge(
    alice: Asking,
) -> None:
    """Also an ID token, a token for another resource, and one of an ended session."""
    engine = alice.api.engine
    assert engine.oauth is not None
    tokens = await alice.tokens("openid")
    client = Client(id="app", secret_hash=None, created_at=0, id_token_alg="ES256")
    id_token = await engine.oauth.id_tokens.make(
        tokens.session, client, tokens.access_token
    )
    _, secret = await engine.clients.add("app", confidential=True, scope=["openid"])
    own = {"grant_type": "client_credentials", "scope": "openid"}
    machine = await alice.client.post(
        "/oauth/token", data=own, auth=("app", secret or "")
    )
    bound = await alice.token("openid", jkt=Prover().jkt)
    elsewhere = await alice.token("openid", audience=("https://mcp.example",))
    for token, status, error in (
        (id_token, 401, "invalid_token"),
        (tokens.refresh_token, 401, "invalid_token"),
        (elsewhere, 401, "invalid_token"),
        (machine.json()["access_token"], 401, "invalid_token"),
        (bound, 401, "invalid_token"),
        (await alice.token("profile", "email"), 403, "insufficient_scope"),
        (await alice.token(), 403, "insufficient_scope"),
    ):
        answer = await alice.get(token)
        challenge = answer.headers["www-authenticate"]
        assert (answer.status_code, f'error="{error}"' in challenge) == (status, True)
        assert ('scope="openid"' in challenge) == (status == 403)
    assert (await alice.get(tokens.access_token)).status_code == 200
    # Introspection looks at tokens of every kind, and knows no ID tokens.
    _, secret = await engine.clients.add(
        "api", confidential=True, rights=["introspect"]
    )
    for token, active in ((id_token, False), (tokens.access_token, True)):
        answer = await alice.client.post(
            "/oauth/introspect", data={"token": token}, auth=("api", secret or "")
        )
        assert answer.json()["active"] is active
    await alice.api.client.post(
        f"{BASE}/logout", json={"refreshToken": tokens.refresh_token}
    )
    ended = await alice.get(tokens.access_token)
    assert (ended.status_code, code_of(ended)) == (401, "token_revoked")


async def test_a_session_that_another_process_has_ended_is_over_at_once(
    alice: Asking,
) -> None:
    tokens = await alice.tokens("openid")
    clock, store = alice.api.clock, alice.api.engine.stores.sessions
    event = Event(type=EventType.SESSION_REVOKED, at=clock())
    await store.end(ById(tokens.session.id), EndReason.LOGOUT, event, 1)
    ended = await alice.get(tokens.access_token)
    assert (ended.status_code, code_of(ended)) == (401, "token_revoked")


async def test_a_token_that_is_bound_to_a_key_needs_its_proof(alice: Asking) -> None:
    """RFC 9449 §7.1: for this very request, by GET or POST."""
    prover = Prover()
    token = await alice.token("openid", jkt=prover.jkt)
    for number, method in enumerate(("GET", "POST")):
        claims = {
            "jti": f"jti-{number}",
            "htm": method,
            "htu": f"https://auth.example{PATH}",
            "iat": alice.api.clock() // 1000,
            "nonce": alice.api.engine.resource_proofs.nonces.current(),
            "ath": ath_of(token),
        }
        headers = {
            "Authorization": f"DPoP {token}",
            "DPoP": prover.proof(payload=claims),
        }
        answer = await alice.client.request(method, PATH, headers=headers)
        assert answer.status_code == 200
        again = await alice.client.request(method, PATH, headers=headers)
        assert code_of(again) == "invalid_dpop_proof"
