"""FastAPI: `Depends(auth.session)`, and the auth routes in the app's own documentation.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs nothing else of Watchword.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, Unpack, cast
from urllib.parse import parse_qsl

from watchword.extras import needs

with needs("watchword[fastapi]"):
    import msgspec
    from fastapi import Depends, FastAPI
    from fastapi.openapi.models import HTTPBearer
    from fastapi.security.base import SecurityBase
    from starlette.requests import ClientDisconnect, HTTPConnection, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

from watchword.core.access_token import Claims
from watchword.errors import CsrfRejected, WatchwordError
from watchword.integrations.asgi import AuthBase, EmbeddedAuth, RemoteAuth
from watchword.integrations.authenticator import SECURITY_SCHEME, checked
from watchword.integrations.websockets import Close, Sockets
from watchword.tokens.checker import Needs

__all__ = ["Auth", "ResourceServer"]

_TOKEN: Final = "/api/auth/docs-token"  # noqa: S105 - a path
_PASSWORD: Final = "password"  # noqa: S105 - the name of a security scheme


class Session(SecurityBase):
    """The dependency that returns the claims of the request's access token.

    It is one object, always the same, so that `app.dependency_overrides` finds it.
    """

    def __init__(self, claims: Callable[[Any], Awaitable[Claims]]) -> None:
        self.model = HTTPBearer(
            bearerFormat="JWT", description="The access token of a login or refresh."
        )
        self.scheme_name = SECURITY_SCHEME
        self._claims = claims

    async def __call__(self, connection: HTTPConnection) -> Claims:
        """The claims of a request or a websocket.

        Raises AccessTokenError, InvalidRequest, TryAgain.
        """
        return await self._claims(connection.scope)


class _AppAuth(AuthBase):
    @cached_property
    def session(self) -> Session:
        """The dependency for a route that needs a good access token."""
        return Session(self._claims)

    def requires(self, **needs: Unpack[Needs]) -> Callable[..., Awaitable[Claims]]:
        """A dependency that needs more than a session, such as a scope or a role.

        It depends on `session`, so a test that overrides `session` overrides both.
        """
        checked(needs)

        async def required(
            claims: Claims = Depends(self.session),  # noqa: B008 - as FastAPI wants it
        ) -> Claims:
            self._require(claims, needs)
            return claims

        return required

    def mount(self, app: FastAPI) -> None:
        """Answer the errors of Watchword as problems, with their challenges."""
        app.add_exception_handler(WatchwordError, cast("Any", self._refuse))
        app.add_middleware(Sockets, refusal=self._refusal)

    async def _refuse(
        self, connection: HTTPConnection, error: Exception
    ) -> Response | Close:
        if connection.scope["type"] == "websocket":
            return Close(error)
        refused = self._refusal(connection.scope, error)
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_AppAuth, RemoteAuth):
    """See `RemoteAuth`."""


class Auth(_AppAuth, EmbeddedAuth):
    """See `EmbeddedAuth`."""

    def mount(self, app: FastAPI, *, pages: bool | str = True) -> None:
        """Add the auth routes, and put them into the app's documentation.

        `pages` says whether our pages are among them, or gives the prefix of their
        paths, such as `/id`. A route of the app of the same path wins. An app with
        users of its own has none of the pages. Raises ValueError, SettingsError.
        """
        from watchword.server import embedded, unread_bodies  # noqa: PLC0415 - as asgi

        super().mount(app)
        self._authenticator.serve_pages(pages=pages)
        routes = app.router.routes
        routes.extend(embedded.routes_to(self._authenticator.routes, routes))
        if app.docs_url is not None:
            token = Route(_TOKEN, self._token, methods=["POST"])
            token.app = unread_bodies.guarded(token.app)
            app.router.routes.append(token)
        openapi = app.openapi
        merged: dict[str, Any] | None = None

        def with_ours() -> dict[str, Any]:
            nonlocal merged
            document = openapi()
            # FastAPI caches the document: it has our routes after the first call.
            if document is not merged:
                embedded.merge_into(document, self._authenticator.routes.operations)
                if app.docs_url is not None:
                    _add_password(document)
                merged = document
            return document

        app.openapi = with_ours  # type: ignore[method-assign]  # as FastAPI documents

    async def _token(self, request: Request) -> Response:
        """Sign in by the form of the Authorize box (RFC 6749 §4.3), as login does.

        It is for Swagger UI only: OAuth has no password grant any more (RFC 9700 §2.4).
        Swagger UI sends a header that no foreign page can send, and it is required.
        """
        from watchword.integrations import bridge  # noqa: PLC0415 - an extra
        from watchword.server.operation import BASE  # noqa: PLC0415
        from watchword.server.parsing import read_body  # noqa: PLC0415

        if "refused" in request.scope:
            raise request.scope["refused"]
        if "x-requested-with" not in request.headers:
            raise CsrfRejected
        try:
            sent = await read_body(request)
        except ClientDisconnect:
            return Response(status_code=400)  # the client has gone
        form = dict(parse_qsl(sent.decode("latin-1")))
        credentials = {one: form.get(one, "") for one in ("username", "password")}
        headers = [
            (name, b"application/json" if name == b"content-type" else value)
            for name, value in request.scope["headers"]
            # Swagger UI sends the id and secret of a client even if none was entered.
            if name not in (b"content-length", b"authorization")
        ]
        path = request.scope.get("root_path", "") + f"{BASE}/login"
        scope = {**request.scope, "path": path, "headers": headers}
        body = msgspec.json.encode(credentials)
        answer = await self._authenticator.answer(bridge.AsgiRequest(scope, body))
        if answer.status != HTTPStatus.OK:
            return Response(answer.body, answer.status, dict(answer.headers))
        tokens = msgspec.json.decode(answer.body)
        given = {"access_token": tokens["accessToken"], "token_type": "bearer"}
        given["expires_in"] = tokens["expiresIn"]
        return JSONResponse(given, headers={"cache-control": "no-store"})


def _add_password(document: dict[str, Any]) -> None:
    """Let name and password open each operation that a pasted token opens."""
    flow = {"tokenUrl": _TOKEN.removeprefix("/"), "scopes": {}}
    schemes = document["components"]["securitySchemes"]
    schemes[_PASSWORD] = {"type": "oauth2", "flows": {"password": flow}}
    for methods in document["paths"].values():
        for operation in methods.values():
            needed = operation.get("security", [])
            if {SECURITY_SCHEME: []} in needed and {_PASSWORD: []} not in needed:
                operation["security"] = [{_PASSWORD: []}, *needed]
