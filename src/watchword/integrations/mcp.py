"""A server of the Model Context Protocol: `Tokens` is the `TokenVerifier` of its SDK.

The SDK tells clients where to get a token and challenges requests without one. What it
cannot know is whether a session has ended, and what to answer where that is not known.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Unpack

from watchword.extras import needs

with needs("watchword[mcp]"):
    from mcp.server.auth.provider import AccessToken
    from mcp.server.auth.settings import AuthSettings
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchword import verify
from watchword.errors import AccessTokenError, TryAgain
from watchword.tokens.challenges import refusal
from watchword.verify.options import VerifierOptions

__all__ = ["Tokens"]


class Tokens:
    """Checks the access tokens of an MCP server.

    `issuer` is the Watchword that signs its users in. `resource` is the URL at which
    clients reach the MCP server, with its path; it is the audience of its tokens (RFC
    8707), so a token for anything else is refused. `feed`: id and secret of a client
    with the right `feed`, so that a logout counts here within a second. `cut_off`:
    `closed` (the default) or `open`, see `Verifier`. Raises SettingsError.

    Give it to `MCPServer` as `token_verifier`, and `settings()` as `auth`; then call
    `mount` with the app that `streamable_http_app()` returns.
    """

    def __init__(
        self, issuer: str, *, resource: str, **options: Unpack[VerifierOptions]
    ) -> None:
        self._issuer = issuer
        self._resource: Final = resource
        self._verifier = verify.Verifier(issuer, resource, **options)

    def settings(self, *, required_scopes: Sequence[str] = ()) -> AuthSettings:
        """What `MCPServer` takes as `auth`. Every request needs all of those scopes."""
        # Addresses as texts: an issuer is compared as it is written, and one that is
        # made an AnyHttpUrl here would get a slash at its end.
        return AuthSettings.model_validate(
            {
                "issuer_url": self._issuer,
                "resource_server_url": self._resource,
                "required_scopes": list(required_scopes) or None,
                "validate_token_resource": True,
            }
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token for the SDK; None for one that is not good, or of an ended session.

        `subject` is the user's id, and `claims` are those of the token, with `sid` and
        `roles`. Raises StoreUnavailable where that is not known: `mount` has it
        answered by 503. Raises it also where the app's lifespan does not run.
        """
        try:
            claims = await self._verifier.verify(token)
        except AccessTokenError:
            return None
        return AccessToken(
            token=token,
            client_id=claims.client_id,
            scopes=(claims.scope or "").split(),
            expires_at=claims.exp,
            resource=self._resource,
            subject=claims.sub,
            claims={
                **claims.extra,
                "iss": claims.iss,
                "sid": claims.sid,
                "roles": list(claims.roles),
                "acr": claims.acr,
                "auth_time": claims.auth_time,
            },
        )

    def mount(self, app: Starlette) -> None:
        """Follow the issuer while the app runs, and answer 503 where it has to be.

        An app that has this one as a part of it enters the part's lifespan in its own.
        """
        inner = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(running: Starlette) -> AsyncIterator[Any]:
            async with self._verifier, inner(running) as state:
                yield state

        app.router.lifespan_context = lifespan
        app.add_middleware(_Unavailable)


class _Unavailable:
    """Answers 503 where a token could not be checked: to the SDK it is a fault, 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except TryAgain as error:
            if has_begun or scope["type"] != "http":
                raise
            refused = refusal(error)
            answer = Response(refused.body, refused.status, refused.headers)
            await answer(scope, receive, send)
