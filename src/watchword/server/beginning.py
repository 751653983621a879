"""What every call shares that begins a session and answers with its tokens.

What the call asks of the session is checked first, so that a wrong scope spends neither
a password's try nor the token of a mail. Only then the caller proves its user.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, Self

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core.session import (
    Authenticated,
    RequestedToken,
    SessionOptions,
    TokenSet,
)
from watchword.errors import InvalidRequest, InvalidScope, InvalidTarget
from watchword.ports.clients import Client
from watchword.server.client_auth import binding_of, native_client, proof_of
from watchword.server.continuation_cookie import browser_of, set_continuation_cookie
from watchword.server.cookies import check_origin, set_cookie, token_to_replace
from watchword.server.parsing import (
    client_address,
    engine_of,
    scope_of,
    user_agent,
)
from watchword.server.problems import (
    SET_CONTINUATION,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from watchword.server.responses import JSON, tokens_of
from watchword.sign_in.begin import SignInRequest
from watchword.tokens.dpop import Signed

BEGINNING_ERRORS = (
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
)
"""What every call raises that begins a session."""

FIRST_FACTOR_ERRORS = (
    *BEGINNING_ERRORS,
    errors.SecondFactorRequired,
    errors.SecondFactorEnrolmentRequired,
)
"""What every call raises that begins a session by one factor."""


class SessionFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the session shall be.

    `transport` `cookie`: the refresh token comes in a cookie that no script can read,
    and never in the answer. `scope` (space separated) and `resource` (RFC 8707) may be
    less than what the client may have.
    """

    transport: Literal["body", "cookie"] = "body"
    client_id: str = FIRST_PARTY.id
    scope: str | None = None
    resource: tuple[str, ...] = ()


class SessionRequest:
    """What a request asks of the session that it is to begin, checked."""

    def __init__(
        self,
        request: Request,
        client: Client,
        options: SessionOptions,
        proof: Signed | None,
    ) -> None:
        self._request = request
        self._client = client
        self._options = options
        self._proof = proof

    @classmethod
    async def of(cls, request: Request, fields: SessionFields) -> Self:
        """Check the client, the options and the DPoP proof, and spend nothing.

        Raises InvalidRequest, InvalidScope, InvalidTarget, UnauthorizedClient,
        InvalidClient, InvalidProof, NonceNeeded, CsrfRejected, Throttled.
        """
        client = await native_client(request, fields.client_id)
        options = _session_options(request, fields, client)
        proof = proof_of(request, client)
        # Only a public client's refresh tokens are bound to the key: a confidential
        # client authenticates at each refresh anyway (RFC 9449 §5).
        if proof is not None and client.secret_hash is None:
            options = msgspec.structs.replace(options, jkt=proof.key.kid)
        return cls(request, client, options, proof)

    async def by_password(self, name: str, password: str) -> Response:
        """The answer to a sign-in by name and password.

        Raises as `SignIn.by_password`; InvalidProof.
        """
        engine, proof = engine_of(self._request), self._proof
        tokens = await engine.sign_in.by_password(
            name,
            password,
            self._options,
            prove=None if proof is None else partial(engine.proofs.settle_one, proof),
            replaces=self._replaces(),
            **self._details(),
        )
        return self._answer(tokens, 200)

    async def begin(
        self, authenticated: Authenticated, *, mailbox: bool = False, status: int = 201
    ) -> Response:
        """The answer to a call that has made or proved an account by another way.

        `mailbox` says that the user has just shown to read the account's mail. Raises
        as `SignIn.begin`; InvalidProof for a proof that was used before.
        """
        engine = engine_of(self._request)
        # As for a sign-in: only a caller that has proved its user may cause this write.
        if self._proof is not None:
            await engine.proofs.settle_one(self._proof)
        tokens = await engine.sign_in.begin(
            authenticated,
            self._options,
            replaces=self._replaces(),
            **self._details(mailbox=mailbox),
        )
        return self._answer(tokens, status)

    def _replaces(self) -> str:
        return token_to_replace(self._request) if self._options.cookie else ""

    def _details(self, *, mailbox: bool = False) -> SignInRequest:
        request, proof = self._request, self._proof
        browser = ""
        if self._options.cookie:
            # Should a second step follow, its error is answered with this cookie.
            browser = browser_of(request, engine_of(request).entropy)
            request.scope[SET_CONTINUATION] = set_continuation_cookie(browser)
        return {
            "requested": RequestedToken(jkt=None if proof is None else proof.key.kid),
            "address": client_address(request),
            "user_agent": user_agent(request),
            "binding": binding_of(self._client, proof, browser),
            "mailbox": mailbox,
        }

    def _answer(self, tokens: TokenSet, status: int) -> Response:
        headers = []
        if self._options.cookie:
            headers.append((b"set-cookie", set_cookie(tokens).encode()))
        return JSON(tokens_of(tokens), status, headers)


def _session_options(
    request: Request, fields: SessionFields, client: Client
) -> SessionOptions:
    """The options of the session. Raises InvalidScope, InvalidTarget, CsrfRejected."""
    cookie = fields.transport == "cookie"
    if cookie:
        if client.id != FIRST_PARTY.id:
            raise InvalidRequest(f"Cookies are for the client {FIRST_PARTY.id} alone.")
        check_origin(request)
    scope = scope_of(fields.scope) or client.scope
    if not set(scope) <= set(client.scope):
        raise InvalidScope
    allowed = client.audience or (engine_of(request).settings.audience,)
    if not set(fields.resource) <= set(allowed):
        raise InvalidTarget
    return SessionOptions(
        client_id=client.id,
        access_ttl=client.access_ttl,
        grace=client.grace,
        scope=scope,
        audience=tuple(dict.fromkeys(fields.resource)) or client.audience,
        cookie=cookie,
    )
