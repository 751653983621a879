"""The base of both classes for asynchronous frameworks, run by the app's lifespan."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from watchword.core.access_token import Claims
from watchword.core.actor import APP, By
from watchword.errors import TokenInvalid, WatchwordError
from watchword.integrations.authenticator import Authenticator, RemoteVerifier
from watchword.integrations.websockets import headers_of
from watchword.tokens.challenges import Refusal
from watchword.tokens.checker import Needs
from watchword.verify.options import VerifierOptions

if TYPE_CHECKING:
    from watchword.accounts.registration_rules import BeforeRegistration
    from watchword.accounts.registry import Accounts
    from watchword.integrations.embedding import Embedding
    from watchword.notices import OnSecurityNotice
    from watchword.ports.accounts import Account
    from watchword.sessions import Sessions
    from watchword.sessions.claims_hook import ClaimsHook
    from watchword.sign_in.begin import SignIn
    from watchword.sign_in.own_users import Authenticate, LoadSubject, SubjectId

Scope = Mapping[str, Any]
LOOK_SECONDS: Final = 1.0
"""How often `alive` looks whether its session has ended."""


class AuthBase:
    """What `RemoteAuth` and `EmbeddedAuth` share: the checks for an app's routes."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """For the app's `lifespan=`. An app with a lifespan of its own enters it there.

        Raises RuntimeError if it has been entered already, and what `open_watchword` or
        the verifier raises at its start.
        """
        del app
        async with self._authenticator.open():
            yield

    async def _claims(self, scope: Any) -> Claims:  # noqa: ANN401 - each has its type
        """The claims of a request. Verified once, because that uses up a proof."""
        key = f"watchword.{id(self)}"
        found: Claims | None = scope.get(key)
        if found is None:
            self._authenticator.served_at(scope)
            # The path below the place where the app is mounted. The address of the app,
            # with which proofs are compared, includes that place.
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            # The handshake of a websocket is a GET (RFC 6455 §4.1).
            method = scope.get("method", "GET")
            found = await self._authenticator.claims(headers_of(scope), method, path)
            scope[key] = found
        return found

    def _require(self, claims: Claims, needs: Needs) -> None:
        self._authenticator.require(claims, needs)

    def _refusal(self, scope: Any, error: Exception) -> Refusal:  # noqa: ANN401
        assert isinstance(error, WatchwordError)  # noqa: S101 - registered for these
        return self._authenticator.refuse(error, headers_of(scope))

    @contextlib.asynccontextmanager
    async def alive(self, session: Claims) -> AsyncIterator[Alive]:
        """A block that ends with the session: for a websocket, or a long answer.

        It raises TokenRevoked within a second of a logout, TokenExpired when the access
        token expires, and StoreUnavailable when it is not known whether the session has
        ended. To go on longer, give a fresh token to `renew`.
        """
        alive, ended = Alive(self._authenticator, session), list[Exception]()
        block = asyncio.timeout(None)

        async def watch() -> None:
            while not ended:
                try:
                    self._authenticator.verifier.checker.check_alive(alive.session)
                except Exception as error:  # noqa: BLE001 - a fault ends the block too
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
                raise  # a TimeoutError of the block's own code
            raise ended[0] from None


class Alive:
    """A session in use for longer than a request, as by a websocket."""

    def __init__(self, authenticator: Authenticator, session: Claims) -> None:
        self._authenticator = authenticator
        self.session = session

    async def renew(self, token: str) -> Claims:
        """Go on with a fresh access token of the same session. Returns its claims.

        For the scheme Bearer only: a bound token needs a proof, and so a new
        connection. Raises AccessTokenError, with TokenInvalid for a token of another
        session; TryAgain. Raises InsufficientRole or InsufficientScope if the new token
        has less than the old one: the connection may have been allowed because of that.
        """
        fresh = await self._authenticator.verifier.verify(token)
        before = self.session
        if (fresh.sub, fresh.sid) != (before.sub, before.sid):
            raise TokenInvalid
        needs: Needs = {"roles": before.roles, "scope": (before.scope or "").split()}
        self._authenticator.require(fresh, needs)
        self.session = fresh
        return fresh


class RemoteAuth(AuthBase):
    """An API that verifies the access tokens of a Watchword elsewhere.

    `feed`: id and secret of a client with the right `feed`, so that this API learns of
    a logout within a second. `cut_off`: `closed` (the default) or `open`, see
    `Verifier`. `address`: the URL at which callers reach this API, for tokens that are
    bound to a key (DPoP).
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        address: str | None = None,
        **options: Unpack[VerifierOptions],
    ) -> None:
        super().__init__(RemoteVerifier(issuer, audience, address=address, **options))


class EmbeddedAuth(AuthBase):
    """Watchword inside the app, with a database of its own.

    `settings` are those of `watchword.Settings`, by name. An app with its own users
    gives `authenticate`; `load_subject`, where they sign in by passkey alone, too; and
    `on_security_notice` to tell them of a change to their second factors.
    `claims_hook` adds claims of the app's own; `before_registration` is asked before a
    user is registered. Raises SettingsError.
    """

    _authenticator: Embedding

    def __init__(
        self,
        database_url: str | None = None,
        *,
        authenticate: Authenticate | None = None,
        load_subject: LoadSubject | None = None,
        claims_hook: ClaimsHook | None = None,
        before_registration: BeforeRegistration | None = None,
        on_security_notice: OnSecurityNotice | None = None,
        **settings: Any,  # noqa: ANN401 - checked as settings
    ) -> None:
        # Imported here, because an API that only verifies has no server installed.
        from watchword.integrations.embedding import Embedding  # noqa: PLC0415

        super().__init__(
            Embedding(
                database_url,
                settings,
                authenticate=authenticate,
                load_subject=load_subject,
                claims_hook=claims_hook,
                before_registration=before_registration,
                on_security_notice=on_security_notice,
            )
        )

    @property
    def accounts(self) -> Accounts:
        """The accounts, while the app runs."""
        return self._authenticator.engine.accounts

    @property
    def sign_in(self) -> SignIn:
        """The front door, while the app runs: checks a password, begins a session."""
        return self._authenticator.engine.sign_in

    @property
    def sessions(self) -> Sessions:
        """The sessions, while the app runs."""
        return self._authenticator.engine.sessions

    async def register(
        self, name: str, password: str, roles: Iterable[str] = (), *, by: By = APP
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return await self._authenticator.register(name, password, roles, by=by)

    async def invite(
        self,
        email: str,
        roles: Iterable[str] = (),
        *,
        locale: str = "",
        by: By = APP,
    ) -> None:
        """Mail an invitation to have an account, or more roles, under that address.

        Raises EmailInvalid, InvalidRequest for roles, and NotFound where
        `registration` is closed, where no mail can be sent, or where the app has users
        of its own.
        """
        await self._authenticator.invite(email, roles, locale=locale, by=by)

    async def end_all(
        self, subject_id: SubjectId, *, but: str | None = None, by: By = APP
    ) -> int:
        """End all sessions of a user, the app's own or ours. Returns how many.

        `subject_id` may be the `sub` of a token. `but` is the `sid` of a session that
        is not ended. The access tokens of ended sessions are refused too. An app that
        disables a user or changes the password calls this once that is committed. `by`
        is the caller, for the audit log.
        """
        return await self._authenticator.end_all(subject_id, but=but, by=by)

    async def enrol_code(self, subject_id: SubjectId, *, by: By = APP) -> str:
        """A one-time token with which a user enrols the first factor, for 24 hours.

        `subject_id` as for `end_all`. It counts beside the right password alone. Give
        it to the user by a way that a thief of the password has not.
        """
        return await self._authenticator.enrol_code(subject_id, by=by)

    async def require_factor(self, subject_id: SubjectId, *, by: By = APP) -> None:
        """Demand a second factor of a user, whatever `second_factor` says.

        The user's sessions that were begun without one end. `watchword user
        require-factor --no` takes the demand back.
        """
        await self._authenticator.require_factor(subject_id, by=by)

    async def reset_factors(self, subject_id: SubjectId, *, by: By = APP) -> int:
        """Remove all second factors and recovery codes of a user, and end the sessions.

        For a user that has lost them all. Returns how many factors there were.
        """
        return await self._authenticator.reset_factors(subject_id, by=by)
