"""The base of both classes for synchronous frameworks, run by a thread of their own.

The thread starts with the first request of a process, and ends with the process. A
token that can be judged without I/O is judged in the thread of its request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from watchword import verify
from watchword.core.access_token import Claims
from watchword.core.actor import APP, By
from watchword.errors import WatchwordError
from watchword.integrations.authenticator import Authenticator, RemoteVerifier
from watchword.integrations.environ import place_of
from watchword.integrations.portal import Portal
from watchword.tokens.challenges import Refusal
from watchword.tokens.checker import Needs
from watchword.tokens.headers import Headers, token_in
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

Given = ParamSpec("Given")
Result = TypeVar("Result")


class AuthBase:
    """What `RemoteAuth` and `EmbeddedAuth` share: the checks for an app's views."""

    _authenticator: Authenticator

    def close(self) -> None:
        """Stop the thread, in tests. The next request starts it again."""
        raise NotImplementedError

    def _served(self, environ: Mapping[str, Any], scheme: str) -> None:
        """Called for each request: see `Authenticator.served_at`."""

    def _claims(self, headers: Headers, method: str, path: str) -> Claims:
        """The claims of a request. Blocks this thread.

        Raises AccessTokenError, InvalidRequest, TryAgain.
        """
        raise NotImplementedError

    async def _aclaims(self, headers: Headers, method: str, path: str) -> Claims:
        """The claims of a request, for another event loop, which is not blocked.

        Raises as `_claims`.
        """
        return await asyncio.to_thread(self._claims, headers, method, path)

    def _require(self, claims: Claims, needs: Needs) -> None:
        """Raises InsufficientScope, InsufficientRole, InsufficientAuthentication."""
        raise NotImplementedError

    def _refusal(self, error: WatchwordError, headers: Headers) -> Refusal:
        return self._authenticator.refuse(error, headers)


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
        # Only for tests, which give it an engine. It is never opened. It comes first,
        # because it refuses what `SyncVerifier` would take beside, such as `http`.
        self._authenticator = RemoteVerifier(
            issuer, audience, address=address, **options
        )
        self._verifier = verify.SyncVerifier(issuer, audience, **options)

    def close(self) -> None:
        self._verifier.close()

    def _claims(self, headers: Headers, method: str, path: str) -> Claims:
        presented = token_in(headers)
        verifier = self._authenticator.test_checker or self._verifier
        if presented.scheme == "Bearer":
            return verifier.verify(presented.token)
        url = self._authenticator.url_of(path)
        found = verifier.verify_bound(
            presented.token, presented.proof, method=method, url=url
        )
        return found if isinstance(found, Claims) else asyncio.run(found)

    def _require(self, claims: Claims, needs: Needs) -> None:
        verifier = self._authenticator.test_checker or self._verifier
        verifier.require(claims, **needs)


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

        self._authenticator = Embedding(
            database_url,
            settings,
            authenticate=authenticate,
            load_subject=load_subject,
            claims_hook=claims_hook,
            before_registration=before_registration,
            on_security_notice=on_security_notice,
        )
        self._portal = Portal(self._authenticator)

    def close(self) -> None:
        self._portal.close()

    def call(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Call a method of `accounts`, `sessions` or `sign_in`.

        Returns or raises what it does.
        """
        return self._portal.call(work, *args, **kwargs)

    @property
    def accounts(self) -> Accounts:
        """The accounts. Their methods are async: call them by `call`."""
        self._portal.start()
        return self._authenticator.engine.accounts

    @property
    def sign_in(self) -> SignIn:
        """The front door. Its methods are async: call them by `call`."""
        self._portal.start()
        return self._authenticator.engine.sign_in

    @property
    def sessions(self) -> Sessions:
        """The sessions. Their methods are async: call them by `call`."""
        self._portal.start()
        return self._authenticator.engine.sessions

    def register(
        self, name: str, password: str, roles: Iterable[str] = (), *, by: By = APP
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        return self.call(self._authenticator.register, name, password, roles, by=by)

    def invite(
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
        self.call(self._authenticator.invite, email, roles, locale=locale, by=by)

    def end_all(
        self, subject_id: SubjectId, *, but: str | None = None, by: By = APP
    ) -> int:
        """End all sessions of a user, the app's own or ours. Returns how many.

        `subject_id` may be the `sub` of a token. `but` is the `sid` of a session that
        is not ended. The access tokens of ended sessions are refused too. An app that
        disables a user or changes the password calls this once that is committed. `by`
        is the caller, for the audit log.
        """
        return self.call(self._authenticator.end_all, subject_id, but=but, by=by)

    def enrol_code(self, subject_id: SubjectId, *, by: By = APP) -> str:
        """A one-time token with which a user enrols the first factor, for 24 hours.

        `subject_id` as for `end_all`. It counts beside the right password alone. Give
        it to the user by a way that a thief of the password has not.
        """
        return self.call(self._authenticator.enrol_code, subject_id, by=by)

    def require_factor(self, subject_id: SubjectId, *, by: By = APP) -> None:
        """Demand a second factor of a user, whatever `second_factor` says.

        The user's sessions that were begun without one end. `watchword user
        require-factor --no` takes the demand back.
        """
        self.call(self._authenticator.require_factor, subject_id, by=by)

    def reset_factors(self, subject_id: SubjectId, *, by: By = APP) -> int:
        """Remove all second factors and recovery codes of a user, and end the sessions.

        For a user that has lost them all. Returns how many factors there were.
        """
        return self.call(self._authenticator.reset_factors, subject_id, by=by)

    def _served(self, environ: Mapping[str, Any], scheme: str) -> None:
        if not self._authenticator.knows_issuer:
            self._authenticator.served_at(place_of(environ, scheme))

    def _claims(self, headers: Headers, method: str, path: str) -> Claims:
        self._portal.start()
        known = self._authenticator.claims_at_once(headers)
        return known or self._portal.call(
            self._authenticator.claims, headers, method, path
        )

    async def _aclaims(self, headers: Headers, method: str, path: str) -> Claims:
        await self._portal.astart()
        known = self._authenticator.claims_at_once(headers)
        if known is None:
            claims = self._authenticator.claims
            known = await self._portal.wait(claims, headers, method, path)
        return known

    def _require(self, claims: Claims, needs: Needs) -> None:
        self._authenticator.require(claims, needs)
