"""`login_as`: a session for a test, without a password and without a request."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from watchword.bootstrap import Watchword
from watchword.clients.rules import FIRST_PARTY
from watchword.core.actor import Actor, By, EndReason
from watchword.core.session import (
    AAL1,
    PASSWORD_ALONE,
    Authenticated,
    SessionOptions,
    as_text,
)
from watchword.errors import NotFound
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.accounts import Account
from watchword.sign_in.own_users import Subject, account_id_of
from watchword.testing.runner_thread import RunnerThread

User = str | uuid.UUID | int | Subject
"""The name of an account of Watchword, or a user that the app itself keeps."""

_METHODS: Final = {AAL1: PASSWORD_ALONE, "aal2": ("pwd", "otp", "mfa")}
"""The `amr` of a session at each level: a password; a password and a code."""


@dataclass(frozen=True)
class SignedIn:
    """A user with a session. `subject` and `session_id` are the claims `sub`, `sid`."""

    subject: str
    session_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The header with the access token, for a request to the app."""
        return {"Authorization": f"Bearer {self.access_token}"}


class LoginAs:
    """Makes sessions, in tests with an event loop and without one."""

    def __init__(
        self, watchword: Watchword, runner: RunnerThread, *, any_scope: bool
    ) -> None:
        self._any_scope = any_scope
        self._watchword = watchword
        self._runner = runner

    def __call__(
        self,
        user: User,
        *,
        roles: Iterable[str] | None = None,
        scope: Iterable[str] = (),
        acr: Literal["aal1", "aal2"] = "aal1",
    ) -> SignedIn:
        """A new session of the user. An account that does not exist is made.

        `roles` become those of the account. `scope` must be part of what a sign-in
        gets; without `scope` the session has all of that. For a ResourceServer it may
        be anything, because what its issuer gives is not known here. With `acr`
        `"aal2"` the token says that the user proved a second factor, a code; none is
        enrolled. Raises TypeError for a text in place of a list, and for a name if the
        app keeps its own users. Raises ValueError for a scope that no sign-in would
        get, and for another `acr`.
        """
        if acr not in _METHODS:
            raise ValueError(f"acr is aal1 or aal2, not {acr!r}")
        for what in (roles, scope):
            if isinstance(what, str):
                raise TypeError(f"roles and scope are lists: [{what!r}]")
        given = self._watchword.settings.first_party_scope
        wanted = tuple(scope) or given
        if not self._any_scope and not set(wanted) <= set(given):
            raise ValueError(
                f"no sign-in gets the scope {' '.join(wanted)}: WATCHWORD_"
                f"FIRST_PARTY_SCOPE (first_party_scope of Auth) is {' '.join(given)!r}"
            )
        return self._runner.run(self._sign_in(user, roles, wanted, acr))

    def log_out(self, user: SignedIn) -> None:
        """End the session. Its tokens are refused from now on."""
        session_id = uuid.UUID(user.session_id).bytes
        sessions = self._watchword.sessions
        by = By(Actor.USER)
        self._runner.run(sessions.end_one(session_id, EndReason.LOGOUT, by=by))

    async def _sign_in(
        self,
        user: User,
        roles: Iterable[str] | None,
        scope: tuple[str, ...],
        acr: str,
    ) -> SignedIn:
        if isinstance(user, str):
            account = await self._account(user, roles)
            account_id, granted = account.id, account.roles
        else:
            subject = user if isinstance(user, Subject) else Subject(user)
            account_id = account_id_of(subject.id)
            granted = subject.roles if roles is None else tuple(roles)
        options = SessionOptions(client_id=FIRST_PARTY.id, scope=scope)
        # The test says which user it is: there is nothing to prove, and nothing that
        # may change before the session has begun.
        authenticated = Authenticated(
            account_id,
            granted,
            epoch=0,
            amr=_METHODS[acr],
            acr=acr,
            at=self._watchword.clock(),
        )
        tokens = await self._watchword.sessions.start(authenticated, options)
        return SignedIn(
            subject=as_text(account_id),
            session_id=as_text(tokens.session.id),
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
        )

    async def _account(self, name: str, roles: Iterable[str] | None) -> Account:
        if self._watchword.subjects is not None:
            raise TypeError(f"the app keeps its own users: give the id of {name!r}")
        accounts = self._watchword.accounts
        try:
            account = await accounts.get(name)
        except NotFound:
            # This hash fits no password. A test in which a password is typed has to
            # register the account first.
            return await accounts.import_hash(
                name, INSECURE_FOR_TESTS.dummy(), roles=roles or ()
            )
        if roles is not None:
            await accounts.set_roles(account.id, roles)
        return await accounts.get(name)
