"""From what a user has proved to a session: begun, looked at again, or taken back.

A change that must end a user's sessions first raises the user's epoch, then ends the
sessions that there are. It may miss the session of a sign-in under way. So every
sign-in looks at its user and at its client once more when its session has begun, and
ends that session if either has changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypedDict, Unpack

from watchword.accounts.registry import Accounts
from watchword.clients.registry import Clients
from watchword.core.actor import Actor, By, EndReason
from watchword.core.session import (
    EVERYTHING,
    Authenticated,
    RequestedToken,
    Session,
    SessionOptions,
    TokenSet,
)
from watchword.errors import InvalidClient
from watchword.ports.credentials import Spending
from watchword.sessions import Sessions
from watchword.sign_in.continuation import Binding, SecondStepGate
from watchword.sign_in.own_users import Subjects
from watchword.sign_in.password import AccountPasswords


class SignInRequest(TypedDict, total=False):
    """What a request says of the session, besides its options: see `Sessions.start`."""

    requested: RequestedToken
    """What the first access token is for: everything where it is left out."""

    address: str
    """The network address of the request."""

    user_agent: str
    """The program of the user, for the list of sessions."""

    binding: Binding
    """The caller, should a second step follow: by default its client and DPoP key."""

    mailbox: bool
    """Whether the user has just shown to read the mail of the account."""


class SignIn:
    """The front door: every session of a user begins here.

    `users` are Watchword's accounts or an app's own users, and `passwords` is their way
    in by name and password.
    """

    def __init__(
        self,
        *,
        passwords: AccountPasswords | Subjects,
        users: Accounts | Subjects,
        clients: Clients,
        sessions: Sessions,
        gate: SecondStepGate,
    ) -> None:
        self._gate = gate
        self._passwords = passwords
        self._users = users
        self._clients = clients
        self._sessions = sessions

    async def check_password(
        self, name: str, password: str, *, address: str = ""
    ) -> Authenticated:
        """The user of that name, if this is the password; no session begins.

        It counts as an attempt to sign in, made from the network `address`. Raises
        InvalidCredentials without saying why, InvalidRequest for a name that no user
        could have, Throttled, Overloaded, StoreUnavailable.
        """
        return await self._passwords.authenticate(name, password, address=address)

    async def by_password(
        self,
        name: str,
        password: str,
        options: SessionOptions,
        *,
        prove: Callable[[], Awaitable[None]] | None = None,
        replaces: str = "",
        **request: Unpack[SignInRequest],
    ) -> TokenSet:
        """A new session for the right name and password.

        `prove` checks whatever else the caller has to prove, and may raise. It is
        called after the password has been checked, because it writes: only a caller
        that can sign in may cause a write. For `replaces` and `request` see `begin`.
        Raises as `check_password` and `begin`.
        """
        address = request.get("address", "")
        authenticated = await self.check_password(name, password, address=address)
        if prove is not None:
            await prove()
        return await self.begin(authenticated, options, replaces=replaces, **request)

    async def begin(
        self,
        authenticated: Authenticated,
        options: SessionOptions,
        *,
        replaces: str = "",
        spends: Spending | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
        **request: Unpack[SignInRequest],
    ) -> TokenSet:
        """A new session for a user, as a way in has just authenticated it.

        `request` says what else is known of the request; each may be left out.
        `replaces` is the refresh token of a cookie: its session ends, because the
        browser forgets it with the cookie, and it must not live on unseen. `spends` is
        a recovery code that goes with the session. `settle` is called while the session
        can still be taken back, and may raise.

        Raises SecondFactorRequired, SecondFactorEnrolmentRequired before anything
        begins; InvalidCredentials if the user has changed meanwhile, InvalidClient if
        the client has, SecondFactorInvalid if the recovery code is gone, Overloaded,
        StoreUnavailable. Whatever is raised, the new session is ended.
        """
        requested = request.get("requested", EVERYTHING)
        address = request.get("address", "")
        binding = request.get("binding") or Binding.of_options(options, requested)
        mailbox = request.get("mailbox", False)
        await self._gate.check(
            authenticated, options, requested, binding, mailbox=mailbox
        )
        old = await self._sessions.session_of(replaces) if replaces else None
        replaced = old.id if old is not None and old.cookie else None
        tokens = await self._sessions.start(
            authenticated,
            options,
            requested=requested,
            address=address,
            user_agent=request.get("user_agent", ""),
            replaced=replaced,
            spends=spends,
        )
        new = tokens.session.id
        async with self._gate.given_back_on_failure(spends):
            await self.look_again(tokens.session, authenticated, address=address)
            # The old session ends only now that the new one stands: the end of the
            # block above raises a cancellation that has not been raised yet.
            async with self._sessions.taken_back_on_failure(new, address):
                if settle is not None:
                    await settle()
                if replaced is not None:
                    reason, by = EndReason.SIGNED_IN_AGAIN, By(Actor.USER, address)
                    await self._sessions.end_one(replaced, reason, by=by)
        return tokens

    async def as_now(self, authenticated: Authenticated) -> Authenticated:
        """What was proved a while ago, with the roles that the user has now.

        Raises InvalidCredentials if the user has changed since, StoreUnavailable.
        """
        return await self._users.look_again(authenticated)

    async def admitted(self, authenticated: Authenticated) -> Authenticated:
        """What was proved a while ago, if it lets the user in now, with today's roles.

        Raises InvalidCredentials if the user has changed since, or has got a second
        factor that it has not proved; StoreUnavailable.
        """
        now = await self.as_now(authenticated)
        # With the roles of now: one that was given meanwhile may demand a factor.
        await self._gate.look_again(now)
        return now

    async def look_again(
        self, session: Session, authenticated: Authenticated, *, address: str
    ) -> None:
        """Look at the user and the client of a session that has just been written.

        Raises InvalidCredentials if the user has changed meanwhile, or has got a second
        factor that it has not proved; InvalidClient if the client has changed;
        StoreUnavailable. Whatever is raised, the session is ended.
        """
        async with self._sessions.taken_back_on_failure(session.id, address):
            await self.admitted(authenticated)
            if not await self._clients.is_enabled(session.client_id):
                raise InvalidClient
