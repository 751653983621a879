"""What the asynchronous frameworks share: both sides, run by the app's lifespan."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from watchword.core.access_token import Claims
from watchword.errors import TokenInvalid, WatchwordError
from watchword.integrations.gate import Gate, Needs, Remote
from watchword.integrations.websockets import headers_of
from watchword.verify.challenges import Refusal

if TYPE_CHECKING:
    from watchword.accounts import Accounts
    from watchword.claims import ClaimsHook
    from watchword.integrations.embedding import Embedding
    from watchword.ports import Account
    from watchword.sessions import Sessions
    from watchword.subjects import Authenticate, SubjectId

Scope = Mapping[str, Any]
LOOK_SECONDS: Final = 1.0
"""How often something that goes on looks for the end of its session."""


class Side:
    """What an app's routes ask, whichever side it is on."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """For the app's `lifespan=`; an app with one of its own enters it in there."""
        del app
        async with self._gate.open():
            yield

    async def _claims(self, scope: Any) -> Claims:  # noqa: ANN401 - each has its type
        """The claims of a request, verified once: a proof is used up by it."""
        key = f"watchword.{id(self)}"
        found: Claims | None = scope.get(key)
        if found is None:
            self._gate.served_at(scope)
            # The path as the issuer has it: below the place where the app is mounted.
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            # The handshake of a websocket is a GET (RFC 6455 §4.1).
            method = scope.get("method", "GET")
            found = await self._gate.claims(headers_of(scope), method, path)
            scope[key] = found
        return found

    def _require(self, claims: Claims, needs: Needs) -> None:
        self._gate.require(claims, needs)

    def _refusal(self, scope: Any, error: Exception) -> Refusal:  # noqa: ANN401
        assert isinstance(error, WatchwordError)  # noqa: S101 - registered for these
        return self._gate.refuse(error, headers_of(scope))

    @contextlib.asynccontextmanager
    async def alive(self, session: Claims) -> AsyncIterator[Alive]:
        """A block that ends with the session: for a websocket, or a long answer.

        Out of it come TokenRevoked within a second of a logout, TokenExpired at the end
        of the token, StoreUnavailable where that is unknown. What `renew` was given a
        fresh token goes on.
        """
        alive, ended = Alive(self._gate, session), list[Exception]()
        block = asyncio.timeout(None)

        async def watch() -> None:
            while not ended:
                try:
                    self._gate.verifier.checker.check_alive(alive.session)
                except Exception as error:  # noqa: BLE001 - a fault ends it as well
                    ended.append(error)
                    block.reschedule(asyncio.get_running_loop().time())
                else:
                    await asyncio.sleep(LOOK_SECONDS)

        try:
            async with block:
                watching = asyncio.create_task(watch())
                try:
                    yield alive
                finally:
                    watching.cancel()
        except TimeoutError:
            if not block.expired():
                raise  # of the block itself
            raise ended[0] from None


class Alive:
    """A session that something goes on with for longer than a request."""

    def __init__(self, gate: Gate, session: Claims) -> None:
        self._gate = gate
        self.session = session

    async def renew(self, token: str) -> Claims:
        """The claims of a fresh access token of the same session, to go on with.

        For the scheme Bearer alone: a bound token needs a proof, and so a connection of
        its own. Raises AccessTokenError, TokenInvalid also for another session;
        InsufficientRole, InsufficientScope where the session had more until now: what
        was opened may have been for that. TryAgain.
        """
        fresh = await self._gate.verifier.verify(token)
        before = self.session
        if (fresh.sub, fresh.sid) != (before.sub, before.sid):
            raise TokenInvalid
        needs: Needs = {"roles": before.roles, "scope": (before.scope or "").split()}
        self._gate.require(fresh, needs)
        self.session = fresh
        return fresh


class Verifying(Side):
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


class Embedded(Side):
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
        # Here, for an API that only verifies has none of it installed.
        from watchword.integrations.embedding import Embedding  # noqa: PLC0415

        super().__init__(
            Embedding(
                database_url,
                settings,
                authenticate=authenticate,
                claims_hook=claims_hook,
            )
        )

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

    async def end_all(self, subject_id: SubjectId, *, but: str | None = None) -> int:
        """End all sessions of a user, the app's own or ours; how many were alive.

        `subject_id` may be the `sub` of a token; `but` is the `sid` of a session that
        stays. Their access tokens die with them. For when the app has disabled the user
        or changed the password: call it after that is committed.
        """
        return await self._gate.end_all(subject_id, but=but)
