"""Between the first factor and the second: a sealed statement, and no session yet."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Self

import msgspec

from watchword.background import Background, wait_briefly
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.session import AAL2, Authenticated, RequestedToken, SessionOptions
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import (
    ContinuationExpired,
    InvalidClient,
    InvalidCredentials,
    InvalidRequest,
    SecondFactorEnrolmentRequired,
    SecondFactorRequired,
    TryAgain,
)
from watchword.factors.enrolled import Enrolled
from watchword.factors.proof import Method
from watchword.factors.registry import Factors
from watchword.factors.tickets import spend_ticket
from watchword.metrics import Metrics
from watchword.metrics.catalog import Counter
from watchword.ports.audit import Trail
from watchword.ports.clients import Client
from watchword.ports.credentials import Credential, CredentialStore, Spending
from watchword.ports.once import ReplayCache


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Which caller a continuation belongs to, so that no other can go on with it.

    `client_secret` is the SHA-256 of a confidential client's stored secret: a new
    secret makes void what the old one began. `jkt` is the thumbprint of the DPoP key.
    `browser` is the value of the cookie `__Host-watchword-continuation`, empty where no
    browser asked for a cookie.
    """

    client_id: str
    client_secret: bytes = b""
    jkt: str = ""
    browser: str = ""

    def __repr__(self) -> str:
        return f"Binding(client_id={self.client_id!r})"

    @classmethod
    def of_client(cls, client: Client, *, jkt: str = "", browser: str = "") -> Self:
        """The binding of a request in which that client has authenticated."""
        stored = client.secret_hash
        return cls(
            client_id=client.id,
            client_secret=b"" if stored is None else hashlib.sha256(stored).digest(),
            jkt=jkt,
            browser=browser,
        )

    @classmethod
    def of_options(cls, options: SessionOptions, requested: RequestedToken) -> Self:
        """The binding of a caller that has no other: client and DPoP key."""
        jkt = options.jkt or requested.jkt or ""
        return cls(client_id=options.client_id, jkt=jkt)

    def admits(self, other: Binding) -> bool:
        """Whether `other` is the same caller.

        A cookie is looked at only where one was asked for: a browser may send a cookie
        that another tab has got.
        """
        if not self.browser:
            other = msgspec.structs.replace(other, browser="")
        ours, theirs = (msgspec.msgpack.encode(one) for one in (self, other))
        return hmac.compare_digest(ours, theirs)


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """What a ticket of a sign-in says. `options` is None for the session of the pages.

    `mailbox` says that the user has just shown to read the mail of the account: then
    enrolling needs no other token.
    """

    authenticated: Authenticated
    options: SessionOptions | None
    requested: RequestedToken
    binding: Binding
    mailbox: bool = False


class SecondStepGate:
    """Lets a user pass that has proved enough, and stops every other.

    Every session of a user passes here: `SignIn.begin` and `BrowserSignIn.begin` call
    `check` before they begin, and `look_again` when the session stands.
    """

    def __init__(
        self,
        *,
        factors: Factors,
        credentials: CredentialStore,
        tickets: Tickets,
        once: ReplayCache,
        background: Background,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._factors = factors
        self._credentials = credentials
        self._background = background
        self._tickets = tickets
        self._once = once
        self._clock = clock

    async def check(
        self,
        authenticated: Authenticated,
        options: SessionOptions | None,
        requested: RequestedToken,
        binding: Binding,
        *,
        mailbox: bool = False,
    ) -> None:
        """Raises SecondFactorRequired or SecondFactorEnrolmentRequired, or returns.

        `options` is None for the session of the pages. `mailbox` says that the user has
        just shown to read the mail of the account. Raises InvalidRequest for a session
        with more scopes, resources and roles than a ticket holds; StoreUnavailable.
        """
        if authenticated.acr == AAL2:
            return
        enrolled = await self._enrolled(authenticated)
        # Also where no method is left, as where passkeys were turned off: a factor that
        # cannot be used opens no door.
        stopped = bool(enrolled.factors)
        if not stopped and not enrolled.is_demanded:
            return
        self._metrics.count(Counter.SIGN_INS, "password", "stopped")
        continuation = Continuation(
            authenticated=authenticated,
            options=options,
            requested=requested,
            binding=binding,
            mailbox=mailbox,
        )
        if stopped:
            ticket = self._seal(TicketPurpose.LOGIN, continuation)
            raise SecondFactorRequired(ticket, enrolled.methods, expires_in=_SECONDS)
        ticket = self._seal(TicketPurpose.ENROL, continuation)
        methods = _can_be_enrolled(enrolled)
        raise SecondFactorEnrolmentRequired(ticket, methods, expires_in=_SECONDS)

    async def look_again(self, authenticated: Authenticated) -> None:
        """Raises InvalidCredentials if a factor was added or demanded meanwhile.

        What adds one ends the sessions that there are, and may have missed the one that
        has just begun.
        """
        if authenticated.acr == AAL2:
            return
        enrolled = await self._enrolled(authenticated)
        if enrolled.factors or enrolled.is_demanded:
            raise InvalidCredentials

    def open(
        self, purpose: TicketPurpose, text: str, binding: Binding
    ) -> tuple[Continuation, str]:
        """The statement of a continuation, and the name of its ticket.

        Raises ContinuationExpired for every ticket that is not this caller's, or not of
        this purpose.
        """
        try:
            stated = self._tickets.open(purpose, text, Continuation)
        except TicketInvalid:
            raise ContinuationExpired from None
        if not stated.binding.admits(binding):
            raise ContinuationExpired
        return stated, self._tickets.id_of(text)

    async def spend(self, name: str) -> None:
        """Spend a continuation, by the name of its ticket.

        Of all callers that spend it one succeeds; the others get ContinuationExpired.
        It MUST be called while what it granted can still be taken back. Raises
        StoreUnavailable.
        """
        await spend_ticket(self._once, name, self._clock())

    async def spend_code(self, spending: Spending) -> None:
        """Spend a recovery code by itself, where no session is made to take it along.

        The rest of the sign-in MUST be in `given_back_on_failure`. Raises
        SecondFactorInvalid where the code is gone, StoreUnavailable.
        """
        await self._factors.take_code(spending)

    @contextlib.asynccontextmanager
    async def given_back_on_failure(
        self, spent: Spending | None
    ) -> AsyncIterator[None]:
        """A block for the rest of a sign-in, after its recovery code was spent.

        If it fails, the session is ended, and its tokens were sent to no caller. So the
        code is there again: a store that was away for a moment, or a client that was
        disabled, costs the user none. It stays gone where the user has changed or has
        got new codes, and for a continuation that was used: or one code could be tried
        without end. Where it stays gone, an app is told of it.
        """
        is_given_back = False
        try:
            yield
        except (TryAgain, InvalidClient, asyncio.CancelledError) as error:
            if spent is not None:
                is_given_back = True
                give_back = partial(self._give_back, spent.credential)
                what = "giving back a recovery code"
                tried = self._background.start(give_back, what)
                if isinstance(error, Exception):  # a cancelled request does not wait
                    await wait_briefly(tried)
            raise
        finally:
            if spent is not None and not is_given_back:
                self._factors.code_spent(spent)

    async def _give_back(self, code: Credential) -> None:
        factors = (await self._factors.of(code.account_id)).factors
        if factors:  # a reset takes the codes, and so does the end of the account
            await self._credentials.add(
                [code],
                Trail(),
                at_most=limits.RECOVERY_CODES,
                seen=[row.id for row in factors],
            )

    async def _enrolled(self, authenticated: Authenticated) -> Enrolled:
        return await self._factors.of(authenticated.account_id, authenticated.roles)

    def _seal(self, purpose: TicketPurpose, continuation: Continuation) -> str:
        try:
            return self._tickets.seal(purpose, continuation)
        except ValueError:
            message = "The session has more scopes, resources and roles than fit here."
            raise InvalidRequest(message) from None


_SECONDS = limits.CONTINUATION_LIFE // limits.SECOND


def _can_be_enrolled(enrolled: Enrolled) -> Sequence[Method]:
    passkey = (Method.PASSKEY,) if enrolled.has_passkeys else ()
    return (*passkey, Method.TOTP)
