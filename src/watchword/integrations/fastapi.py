"""FastAPI: `Depends(auth.session)`, and the auth routes in the app's own documentation.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs no more of Watchword than that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Unpack

from watchword.extras import needs

with needs("watchword[fastapi]"):
    from fastapi import Depends, FastAPI, Request
    from fastapi.openapi.models import HTTPBearer
    from fastapi.security.base import SecurityBase
    from starlette.responses import Response

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.asgi import Embedded, Side, Verifying
from watchword.integrations.gate import SECURITY_SCHEME, Needs, checked

__all__ = ["Auth", "ResourceServer"]


class Session(SecurityBase):
    """The dependency that answers with the claims of the request's access token.

    An object, and the same one each time: `app.dependency_overrides` finds it.
    """

    def __init__(self, claims: Callable[[Any], Awaitable[Claims]]) -> None:
        self.model = HTTPBearer(
            bearerFormat="JWT", description="The access token of a login or refresh."
        )
        self.scheme_name = SECURITY_SCHEME
        self._claims = claims

    async def __call__(self, request: Request) -> Claims:
        """Raises AccessTokenError, InvalidRequest, TryAgain."""
        return await self._claims(request.scope)


class _Guarded(Side):
    @cached_property
    def session(self) -> Session:
        """The dependency for a route that needs a good access token."""
        return Session(self._claims)

    def requires(self, **needs: Unpack[Needs]) -> Callable[..., Awaitable[Claims]]:
        """The dependency that asks for more than a session.

        It depends on `session`: a test that overrides that one overrides both.
        """
        checked(needs)

        async def required(
            claims: Claims = Depends(self.session),  # noqa: B008 - ours alone
        ) -> Claims:
            self._require(claims, needs)
            return claims

        return required

    def mount(self, app: FastAPI) -> None:
        """Answer the errors of Watchword as problems, with their challenges."""
        app.add_exception_handler(WatchwordError, self._refuse)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        refused = self._refusal(request.scope, error)
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_Guarded, Verifying):
    """See `Verifying`."""


class Auth(_Guarded, Embedded):
    """See `Embedded`."""

    def mount(self, app: FastAPI) -> None:
        """Add the auth routes, and put them into the app's documentation."""
        from watchword.server.embedded import PATHS, merge_into  # noqa: PLC0415

        super().mount(app)
        routes: Any = self._gate.routes  # an ASGI application, which a route may be
        for path in PATHS:
            app.router.add_route(path, routes, include_in_schema=False)
        described = app.openapi

        def with_ours() -> dict[str, Any]:
            document = described()
            merge_into(document)
            return document

        app.openapi = with_ours  # type: ignore[method-assign]  # as FastAPI documents
