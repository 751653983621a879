"""POST /login: begins a session for a name and its password."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core.session import RequestedToken, SessionOptions
from watchword.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
)
from watchword.ports.clients import Client
from watchword.server.client_auth import native_client, proof_of
from watchword.server.cookies import check_origin, set_cookie, token_to_replace
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    client_address,
    engine_of,
    parse_json,
    read_body,
    scope_of,
    user_agent,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.server.responses import JSON, Tokens, tokens_of


class Login(msgspec.Struct, frozen=True, rename="camel"):
    """The name and password of a sign-in, and how the session shall be.

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


async def login(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BODY)
    client = await native_client(request, body.client_id)
    options = _session_options(request, body, client)
    proof = proof_of(request, client)
    jkt = None if proof is None else proof.key.kid
    # Only a public client's refresh tokens are bound to the key: a confidential client
    # authenticates at each refresh anyway (RFC 9449 §5).
    if client.secret_hash is None:
        options = msgspec.structs.replace(options, jkt=jkt)
    engine = engine_of(request)
    tokens = await engine.sign_in.by_password(
        body.username,
        body.password,
        options,
        prove=None if proof is None else partial(engine.proofs.settle_one, proof),
        replaces=token_to_replace(request) if options.cookie else "",
        requested=RequestedToken(jkt=jkt),
        address=client_address(request),
        user_agent=user_agent(request),
    )
    headers = [(b"set-cookie", set_cookie(tokens).encode())] if options.cookie else []
    return JSON(tokens_of(tokens), headers=headers)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/login",
    handler=login,
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


def _session_options(request: Request, body: Login, client: Client) -> SessionOptions:
    """The options of the session. Raises InvalidScope, InvalidTarget, CsrfRejected."""
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
    return SessionOptions(
        client_id=client.id,
        access_ttl=client.access_ttl,
        grace=client.grace,
        scope=scope,
        audience=tuple(dict.fromkeys(body.resource)) or client.audience,
        cookie=cookie,
    )
