"""Starlette: an authentication backend, and a decorator for what an endpoint needs.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server. After `mount`, `request.user` is a `User`. `request.auth.scopes` has
`authenticated` and the token's scopes, so that Starlette's own `requires` works too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar, Unpack, cast

from watchword.extras import needs

with needs("watchword[starlette]"):
    from starlette.applications import Starlette
    from starlette.authentication import (
        AuthCredentials,
        AuthenticationBackend,
        AuthenticationError,
        BaseUser,
    )
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.routing import Match, Route

from watchword.core.access_token import Claims
from watchword.errors import TokenMissing, WatchwordError
from watchword.integrations.asgi import AuthBase, EmbeddedAuth, RemoteAuth
from watchword.integrations.authenticator import checked
from watchword.integrations.websockets import Close, Sockets, note
from watchword.tokens.checker import Needs

__all__ = ["Auth", "ResourceServer", "User"]

Given = ParamSpec("Given")
Result = TypeVar("Result")
_CONNECTIONS: Final = ("request", "websocket")


class User(BaseUser):
    """The user of a request: `identity` is the subject, `claims` are the token's."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        return self.claims.sub

    @property
    def display_name(self) -> str:
        return self.claims.sub

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles in the token."""
        return self.claims.roles


class _Refused(AuthenticationError):
    def __init__(self, error: WatchwordError) -> None:
        super().__init__(error.code)
        self.error = error


class _Backend(AuthenticationBackend):
    def __init__(self, auth: _AppAuth) -> None:
        self._auth = auth

    async def authenticate(
        self, conn: HTTPConnection
    ) -> tuple[AuthCredentials, BaseUser] | None:
        # The auth routes verify tokens themselves: verifying here would use up a proof.
        # They also ignore a stale access token that comes with a refresh.
        if self._auth.answers(conn):
            return None
        try:
            claims = await self._auth.session(conn)
        except TokenMissing:
            return None
        except WatchwordError as error:
            note(conn.scope, error)
            raise _Refused(error) from None
        scopes = (claims.scope or "").split()
        return AuthCredentials(["authenticated", *scopes]), User(claims)


class _AppAuth(AuthBase):
    _routes: tuple[Route, ...] = ()

    @property
    def backend(self) -> AuthenticationBackend:
        """A backend for an `AuthenticationMiddleware` of the app; `mount` adds one."""
        return _Backend(self)

    async def session(self, connection: HTTPConnection) -> Claims:
        """The claims of a request's access token, with or without the middleware.

        Raises AccessTokenError, InvalidRequest, TryAgain.
        """
        return await self._claims(connection.scope)

    def requires(
        self, **needs: Unpack[Needs]
    ) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
        """A decorator for an endpoint: it refuses by 401 or 403.

        The endpoint must have an argument `request` or `websocket`, as for Starlette's
        own decorator. Raises TypeError if it has neither.
        """
        checked(needs)

        def decorate(endpoint: Callable[Given, Result]) -> Callable[Given, Result]:
            signature = inspect.signature(endpoint)
            named = [one for one in _CONNECTIONS if one in signature.parameters]
            if not named:
                raise TypeError(f"{endpoint} has no argument request or websocket")

            def check(*args: Given.args, **kwargs: Given.kwargs) -> None:
                connection = signature.bind(*args, **kwargs).arguments[named[0]]
                user = connection.scope.get("user")
                if not isinstance(user, User):
                    raise TokenMissing
                self._require(user.claims, needs)

            @functools.wraps(endpoint)
            async def awaited(*args: Given.args, **kwargs: Given.kwargs) -> object:
                check(*args, **kwargs)
                return await cast("Awaitable[object]", endpoint(*args, **kwargs))

            @functools.wraps(endpoint)
            def called(*args: Given.args, **kwargs: Given.kwargs) -> Result:
                check(*args, **kwargs)
                return endpoint(*args, **kwargs)

            if inspect.iscoroutinefunction(endpoint):
                return cast("Callable[Given, Result]", awaited)
            return called

        return decorate

    def mount(self, app: Starlette) -> None:
        """Add the middleware, and the answers to errors of Watchword."""
        app.add_middleware(
            AuthenticationMiddleware, backend=self.backend, on_error=self._on_error
        )
        app.add_middleware(Sockets, refusal=self._refusal)
        app.add_exception_handler(WatchwordError, cast("Any", self._refuse))
        app.router.routes.extend(self._routes)

    def answers(self, connection: HTTPConnection) -> bool:
        """Whether the request is for one of the auth routes."""
        scope = connection.scope
        return any(one.matches(scope)[0] is not Match.NONE for one in self._routes)

    async def _refuse(
        self, connection: HTTPConnection, error: Exception
    ) -> Response | Close:
        if connection.scope["type"] == "websocket":
            return Close(error)
        return self._answer(connection, error)

    def _on_error(self, connection: HTTPConnection, error: Exception) -> Response:
        return self._answer(connection, cast("_Refused", error).error)

    def _answer(self, connection: HTTPConnection, error: Exception) -> Response:
        refused = self._refusal(connection.scope, error)
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_AppAuth, RemoteAuth):
    """See `RemoteAuth`."""


class Auth(_AppAuth, EmbeddedAuth):
    """See `EmbeddedAuth`."""

    def mount(self, app: Starlette, *, pages: bool | str = True) -> None:
        """Add the auth routes, and all that `ResourceServer.mount` does.

        `pages` says whether our pages are among them, or gives the prefix of their
        paths, such as `/id`. A route of the app of the same path wins. An app with
        users of its own has none of the pages. Raises ValueError, SettingsError.
        """
        from watchword.server.embedded import routes_to  # noqa: PLC0415 - as asgi

        self._authenticator.serve_pages(pages=pages)
        self._routes = tuple(routes_to(self._authenticator.routes, app.router.routes))
        super().mount(app)
