"""POST /login: a name and a password for a session."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients import FIRST_PARTY, REFRESH_TOKEN
from watchword.core.session import Asked, Terms
from watchword.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
)
from watchword.ports import Client
from watchword.server.answers import JSON, Tokens, tokens_of
from watchword.server.cookies import check_origin, set_cookie, token_to_replace
from watchword.server.oauth import basic_credentials, proof_of, scope_of
from watchword.server.openapi import BASE, Operation
from watchword.server.parsing import (
    client_address,
    engine_of,
    parse_json,
    read_body,
    user_agent,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType


class Login(msgspec.Struct, frozen=True, rename="camel"):
    """Who signs in, and how the session shall be.

    `transport` `cookie`: the refresh token comes in a cookie that no script can read,
    and never in the answer. `scope` (space separated) and `resource` (RFC 8707) may be
    less than what the client may have.
    """

    username: Annotated[str, msgspec.Meta(max_length=1024)]
    password: str
    transport: Literal["body", "cookie"] = "body"
    client_id: str = FIRST_PARTY.id
    scope: str | None = None
    resource: tuple[str, ...] = ()


_BODY = msgspec.json.Decoder(Login)

OPERATION = Operation(
    method="POST",
    path=f"{BASE}/login",
    summary="1. Sign in",
    description=(
        "JSON only. Too many failures for a name or an address answer 429. With a DPoP "
        "proof the session of a public client is bound to its key. A confidential "
        "client sends Authorization: Basic."
    ),
    request=Login,
    example={"username": "admin", "password": "the password shown at first start"},
    response=Tokens,
    dpop=True,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidScope,
        errors.InvalidTarget,
        errors.UnauthorizedClient,
        errors.InvalidProof,
        errors.NonceNeeded,
        errors.InvalidCredentials,
        errors.InvalidClient,
        errors.CsrfRejected,
        PayloadTooLarge,
        UnsupportedMediaType,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def login(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BODY)
    client = await _client(request, body)
    terms = _terms(request, body, client)
    proof = proof_of(request, client)
    jkt = None if proof is None else proof.key.kid
    # A confidential client's refreshes are authenticated anyway (RFC 9449 §5).
    if client.secret_hash is None:
        terms = msgspec.structs.replace(terms, jkt=jkt)
    engine = engine_of(request)
    address = client_address(request)
    grant = await engine.sign_in(
        body.username,
        body.password,
        terms,
        asked=Asked(jkt=jkt),
        address=address,
        user_agent=user_agent(request),
        prove=None if proof is None else partial(engine.proofs.settle_one, proof),
    )
    # Disabled since it was authenticated: whoever did that ended the sessions that it
    # saw, and may not have seen this one.
    if not await engine.clients.is_enabled(client.id):
        await engine.sessions.end_one(grant.session.id, "taken back", address=address)
        raise InvalidClient
    headers = []
    if terms.cookie:
        # The browser is about to forget its old session: it must not live on unseen.
        old = await engine.sessions.session_of(token_to_replace(request))
        if old is not None and old.cookie:
            await engine.sessions.end_one(old.id, "signed in again", address=address)
        headers.append((b"set-cookie", set_cookie(grant).encode()))
    return JSON(tokens_of(grant), headers=headers)


async def _client(request: Request, body: Login) -> Client:
    """The client that the user signs in with. Raises InvalidClient."""
    basic = basic_credentials(request)
    if basic is not None and body.client_id not in (basic[0], FIRST_PARTY.id):
        raise InvalidRequest("The client named itself in two ways.")
    name, secret = basic or (body.client_id, None)
    client = await engine_of(request).clients.authenticate(
        name, secret, address=client_address(request)
    )
    if REFRESH_TOKEN not in client.grants:
        raise UnauthorizedClient
    return client


def _terms(request: Request, body: Login, client: Client) -> Terms:
    """What the session is to be. Raises InvalidScope, InvalidTarget, CsrfRejected."""
    cookie = body.transport == "cookie"
    if cookie:
        if client.id != FIRST_PARTY.id:
            raise InvalidRequest(f"Cookies are for the client {FIRST_PARTY.id} alone.")
        check_origin(request)
    scope = scope_of(body.scope) or client.scope
    if not set(scope) <= set(client.scope):
        raise InvalidScope
    allowed = client.audience or (engine_of(request).settings.audience,)
    if not set(body.resource) <= set(allowed):
        raise InvalidTarget
    return Terms(
        client_id=client.id,
        access_ttl=client.access_ttl,
        scope=scope,
        audience=tuple(dict.fromkeys(body.resource)) or client.audience,
        cookie=cookie,
    )
