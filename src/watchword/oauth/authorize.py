"""A client's request for its user: what has to be asked, and then the code.

A request waits in an interaction: a ticket that belongs to one browser, by the cookie
`__Host-watchword-interaction`. It is spent when it grants, not when it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.accounts.registry import Accounts
from watchword.clients.registry import Clients
from watchword.clocks import Clock, Entropy
from watchword.core.actor import By
from watchword.core.authorize import AuthorizationRequest, Verdict
from watchword.core.session import Session
from watchword.core.ticket import Tickets
from watchword.factors.registry import Factors
from watchword.oauth.codes import Codes
from watchword.oauth.consents import Consents
from watchword.oauth.id_tokens import IdTokens
from watchword.ports.clients import Client
from watchword.ports.once import ReplayCache
from watchword.sessions import Sessions
from watchword.sign_in.begin import SignIn


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for its user. `browser` is the SHA-256 of the cookie.

    `pushed` is the name of the ticket that it was pushed as, or "".
    """

    request: AuthorizationRequest
    browser: bytes
    pushed: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next for a browser.

    `location` is where the client gets its code or an error: it is set for SendError
    and Issue. `interaction` is the ticket for the page: it is set where a page comes.
    `client` is None where it is unknown.
    """

    verdict: Verdict
    request: AuthorizationRequest
    client: Client | None
    location: str = ""
    interaction: str = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An open interaction, for a page to show: what is wanted, by which client."""

    request: AuthorizationRequest
    client: Client


class AuthorizationServer:
    """Judges requests, keeps them while pages ask, and makes codes.

    `browser` is everywhere the value of the cookie. `session` is the browser's sign-in,
    or None.
    """

    def __init__(
        self,
        *,
        clients: Clients,
        accounts: Accounts,
        sessions: Sessions,
        sign_in: SignIn,
        factors: Factors,
        consents: Consents,
        codes: Codes,
        id_tokens: IdTokens,
        tickets: Tickets,
        once: ReplayCache,
        issuer: str,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._clients = clients
        self._accounts = accounts
        self._sessions = sessions
        self._sign_in = sign_in
        self._factors = factors
        self._consents = consents
        self._codes = codes
        self._id_tokens = id_tokens
        self._tickets = tickets
        self._once = once
        self.issuer = issuer
        self._clock = clock
        self._entropy = entropy

    async def push(
        self, parameters: Sequence[tuple[str, str]], client: Client, *, jkt: str
    ) -> tuple[str, int]:
        """A `request_uri` for these parameters, and its seconds (RFC 9126 §2.2).

        Raises InvalidRequest and its kinds for what `begin` would refuse.
        """
        raise NotImplementedError

    async def begin(
        self,
        parameters: Sequence[tuple[str, str]],
        session: Session | None,
        *,
        browser: str,
        by: By,
    ) -> Outcome:
        """What comes of a request that a browser brings to `/oauth/authorize`.

        Raises InvalidRequest for one that is too long to be kept, StoreUnavailable.
        """
        raise NotImplementedError

    async def asked(self, interaction: str, *, browser: str) -> Asked:
        """What an interaction is about. Nothing is spent.

        Raises InteractionExpired also for one that was begun in another browser, and
        for one of a client that is disabled or has changed its redirect URIs.
        """
        raise NotImplementedError

    async def go_on(
        self, interaction: str, session: Session | None, *, browser: str, by: By
    ) -> Outcome:
        """What comes next, now that the browser is signed in, or has proved more.

        Raises InteractionExpired, StoreUnavailable.
        """
        raise NotImplementedError

    async def consent(
        self,
        interaction: str,
        session: Session,
        *,
        is_granted: bool,
        browser: str,
        by: By,
    ) -> Outcome:
        """What comes of the user's answer on the page `/consent`.

        It is remembered, and the code made, if nothing else is lacking; or the client
        is told `access_denied`. Raises as `go_on`.
        """
        raise NotImplementedError

    async def cancel(self, interaction: str, *, browser: str) -> str:
        """Where the browser goes if the user does not want to sign in: `access_denied`.

        Raises InteractionExpired.
        """
        raise NotImplementedError
