"""Between the first factor and the second: a sealed statement, and no session yet."""

from __future__ import annotations

import msgspec

from watchword.core.session import Authenticated, RequestedToken, SessionOptions
from watchword.core.ticket import TicketPurpose, Tickets
from watchword.factors.registry import Factors


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

    def __init__(self, *, factors: Factors, tickets: Tickets) -> None:
        self._factors = factors
        self._tickets = tickets

    async def check(
        self,
        authenticated: Authenticated,
        options: SessionOptions | None,
        requested: RequestedToken,
        binding: Binding,
        *,
        mailbox: bool = False,
    ) -> None:
        """Raises SecondFactorRequired or SecondFactorEnrolmentRequired."""
        raise NotImplementedError

    async def look_again(self, authenticated: Authenticated) -> None:
        """Raises InvalidCredentials if a factor was added meanwhile."""
        raise NotImplementedError

    def open(
        self, purpose: TicketPurpose, text: str, binding: Binding
    ) -> tuple[Continuation, str]:
        """The statement of a continuation, and the name of its ticket.

        Raises ContinuationExpired for every ticket that is not this caller's, or not of
        this purpose.
        """
        raise NotImplementedError
