"""Litestar: a plugin; the dependency `session`, and guards for what a handler needs.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs nothing else of Watchword.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack, cast
from urllib.parse import unquote

from watchword.extras import needs

with needs("watchword[litestar]"):
    from litestar import HttpMethod, Request, Response, Router, route
    from litestar.config.app import AppConfig
    from litestar.connection import ASGIConnection
    from litestar.di import Provide
    from litestar.handlers import HTTPRouteHandler
    from litestar.handlers.base import BaseRouteHandler
    from litestar.openapi.spec import Components, SecurityScheme
    from litestar.plugins import InitPlugin
    from litestar.types import (
        ASGIApp,
        ControllerRouterHandler,
        Empty,
        Receive,
        Scope,
        Send,
    )
    from litestar.utils.scope.state import ScopeState

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.asgi import AuthBase, EmbeddedAuth, RemoteAuth
from watchword.integrations.authenticator import SECURITY_SCHEME, checked
from watchword.integrations.websockets import Sockets, note
from watchword.tokens.checker import Needs

if TYPE_CHECKING:
    from watchword.accounts.registration_rules import BeforeRegistration
    from watchword.notices import OnSecurityNotice
    from watchword.sessions.claims_hook import ClaimsHook
    from watchword.sign_in.own_users import Authenticate, LoadSubject

__all__ = ["Auth", "ResourceServer"]

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
_OURS: Final = "watchword"
_NAMED: Final = re.compile(r"\{(\w+)\}")  # a part of a path, such as {id}
# Marks our own routes. An app may use the same option, but not this object.
_MARK: Final = object()


class _AppAuth(AuthBase, InitPlugin):
    async def session(self, scope: Scope) -> Claims:
        """The claims of the access token of a request or a websocket.

        It is the dependency `session`. Raises AccessTokenError, InvalidRequest,
        TryAgain.
        """
        return await self._claims(scope)

    def requires(self, **needs: Unpack[Needs]) -> Guard:
        """A guard for a handler, a controller or the whole app: it refuses by 401, 403.

        The auth routes are never guarded, because a sign-in has no session yet.
        """
        checked(needs)

        async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
            if handler.opt.get(_OURS) is not _MARK:
                self._require(await self._claims(connection.scope), needs)

        return guard

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the dependency, and the answers to errors of Watchword."""
        app_config.lifespan.append(self.lifespan)
        app_config.dependencies.setdefault("session", Provide(self.session))
        app_config.exception_handlers[WatchwordError] = self._refuse
        app_config.middleware.insert(0, self._sockets)
        app_config.after_exception.append(_note)
        if app_config.openapi_config is not None:
            app_config.openapi_config.components = _with_ours(
                app_config.openapi_config.components
            )
        return app_config

    def _sockets(self, app: ASGIApp) -> ASGIApp:
        return cast("ASGIApp", Sockets(app, self._refusal))

    def _refuse(
        self, request: Request[Any, Any, Any], error: Exception
    ) -> Response[bytes]:
        refused = self._refusal(request.scope, error)
        kind = refused.headers["content-type"]
        return Response(
            refused.body,
            status_code=refused.status,
            headers=refused.headers,
            media_type=kind,
        )


class ResourceServer(_AppAuth, RemoteAuth):
    """See `RemoteAuth`."""


class Auth(_AppAuth, EmbeddedAuth):
    """See `EmbeddedAuth`."""

    def __init__(
        self,
        database_url: str | None = None,
        *,
        pages: bool | str = True,
        authenticate: Authenticate | None = None,
        load_subject: LoadSubject | None = None,
        claims_hook: ClaimsHook | None = None,
        before_registration: BeforeRegistration | None = None,
        on_security_notice: OnSecurityNotice | None = None,
        **settings: Any,  # noqa: ANN401 - checked as settings
    ) -> None:
        """As `EmbeddedAuth`.

        `pages` says whether the app serves our pages, or gives the prefix of their
        paths, such as `/id`. A handler of the app of the same path wins. An app with
        users of its own has none of the pages. Raises ValueError, SettingsError.
        """
        super().__init__(
            database_url,
            authenticate=authenticate,
            load_subject=load_subject,
            claims_hook=claims_hook,
            before_registration=before_registration,
            on_security_notice=on_security_notice,
            **settings,
        )
        self._authenticator.serve_pages(pages=pages)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the auth routes, and all that `ResourceServer.on_app_init` does."""
        routes = self._authenticator.routes
        own = _paths_of(app_config.route_handlers) & set(routes.page_paths)
        app_config.route_handlers += [
            self._route(path) for path in routes.paths if path not in own
        ]
        return super().on_app_init(app_config)

    def _route(self, path: str) -> HTTPRouteHandler:
        routes = cast("Any", self._authenticator.routes)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            sent = {**scope, "path": _path_sent(scope)}
            await routes(sent, _unread(scope, receive), send)

        # Not `asgi(...)(serve)`: with such a handler Litestar 2.25 answers 500 for a
        # path with parameters, and if a middleware reads the body.
        async def answer() -> ASGIApp:
            return serve

        return route(
            _NAMED.sub(r"{\1:str}", path),
            http_method=list(HttpMethod),
            opt={_OURS: _MARK},
            include_in_schema=False,
        )(answer)


def _paths_of(handlers: Sequence[ControllerRouterHandler]) -> set[str]:
    """The paths of handlers, and of those in controllers and routers."""
    return {one.path for one in Router("/", route_handlers=list(handlers)).routes}


async def _note(error: Exception, scope: Scope) -> None:
    """Note why the websocket is refused. Litestar would close it as for a fault."""
    note(scope, error)


def _unread(scope: Scope, receive: Receive) -> Receive:
    """A `receive` that gives the body again, if a middleware has read it.

    Litestar keeps a body that was read for later request objects of the same scope.
    """
    body = ScopeState.from_scope(scope).body
    if body is Empty:
        return receive
    whole: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Any:  # noqa: ANN401 - a message of ASGI
        return whole.pop() if whole else await receive()

    return receive_again


def _path_sent(scope: Scope) -> str:
    """The path as it was sent, before Litestar removed slashes.

    Each of our paths has one spelling, as at the server. Any other is a 404, so that
    none gets past a proxy's rule for a path.
    """
    raw: bytes | None = scope.get("raw_path")
    return unquote(raw.partition(b"?")[0]) if raw else scope["path"]


def _with_ours(
    components: Components | list[Components],
) -> Components | list[Components]:
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="The access token of a login or refresh.",
    )
    ours = Components(security_schemes={SECURITY_SCHEME: bearer})
    theirs = components if isinstance(components, list) else [components]
    return [*theirs, ours]
