"""FastAPI: `Depends(auth.session)`, and the auth routes in the app's own documentation.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs no more of Watchword than that.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Unpack

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.responses import Response

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.gate import SECURITY_SCHEME, Gate, Needs, Remote, checked
from watchword.verify.presented import Headers

if TYPE_CHECKING:
    from watchword.accounts import Accounts
    from watchword.claims import ClaimsHook
    from watchword.integrations.embedding import Embedding
    from watchword.ports import Account
    from watchword.sessions import Sessions
    from watchword.subjects import Authenticate

__all__ = ["Auth", "ResourceServer"]


class Session(SecurityBase):
    """The dependency that answers with the claims of the request's access token.

    An object, and the same one each time: `app.dependency_overrides` finds it.
    """

    def __init__(self, gate: Gate) -> None:
        self.model = HTTPBearer(
            bearerFormat="JWT", description="The access token of a login or refresh."
        )
        self.scheme_name = SECURITY_SCHEME
        self._gate = gate

    async def __call__(self, request: Request) -> Claims:
        """Raises AccessTokenError, InvalidRequest, TryAgain."""
        return await self._gate.claims(
            _headers(request), request.method, _path(request)
        )


class _Guarded:
    """What both sides offer to the app's routes."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.session = Session(gate)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=...)`; an app with its own enters it in there."""
        del app
        async with self._gate.open():
            yield

    def mount(self, app: FastAPI) -> None:
        """Answer the errors of Watchword as problems, with their challenges."""
        app.add_exception_handler(WatchwordError, self._refuse)

    def requires(self, **needs: Unpack[Needs]) -> Callable[..., Awaitable[Claims]]:
        """The dependency that asks for more than a session.

        It depends on `session`: a test that overrides that one overrides both.
        """
        checked(needs)

        async def required(
            claims: Claims = Depends(self.session),  # noqa: B008 - ours alone
        ) -> Claims:
            self._gate.require(claims, needs)
            return claims

        return required

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, WatchwordError)  # noqa: S101 - registered for these
        refused = self._gate.refuse(error, _headers(request))
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_Guarded):
    """An API that verifies the access tokens of a Watchword elsewhere.

    `feed`: id and secret of a client with the right `feed`, so that a logout counts
    here within a second. `address`: where callers find this API, for tokens that are
    bound to a key (DPoP).
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        feed: tuple[str, str] | None = None,
        cut_off: Literal["closed", "open"] = "closed",
        address: str | None = None,
    ) -> None:
        super().__init__(
            Remote(issuer, audience, feed=feed, cut_off=cut_off, address=address)
        )


class Auth(_Guarded):
    """Watchword inside the app, with a database of its own.

    `settings` have the names of `watchword.Settings`. An app with its own users gives
    `authenticate`; `claims_hook` adds claims of the app's own. Raises SettingsError.
    """

    _gate: Embedding

    def __init__(
        self,
        database_url: str | None = None,
        *,
        authenticate: Authenticate | None = None,
        claims_hook: ClaimsHook | None = None,
        **settings: Any,  # noqa: ANN401 - checked as settings
    ) -> None:
        # Here, for a resource server has none of it installed.
        from watchword.integrations.embedding import Embedding  # noqa: PLC0415

        super().__init__(
            Embedding(
                database_url,
                settings,
                authenticate=authenticate,
                claims_hook=claims_hook,
            )
        )

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

    @property
    def accounts(self) -> Accounts:
        """The accounts, while the app runs."""
        return self._gate.engine.accounts

    @property
    def sessions(self) -> Sessions:
        """The sessions, while the app runs."""
        return self._gate.engine.sessions

    async def register(
        self, name: str, password: str, roles: Iterable[str] = ()
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return await self._gate.register(name, password, roles)

    async def end_all(self, subject_id: uuid.UUID | int) -> int:
        """End all sessions of a user; how many were alive. See `Embedding.end_all`."""
        return await self._gate.end_all(subject_id)


def _headers(request: Request) -> Headers:
    headers: Headers = request.scope["headers"]
    return headers


def _path(request: Request) -> str:
    """The path as the issuer has it: below the place where the app is mounted."""
    root: str = request.scope.get("root_path", "")
    path: str = request.scope["path"]
    return path.removeprefix(root)
