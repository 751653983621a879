"""Requests that wait: for the browser that was sent here, and then for its user.

Both are tickets. A pushed request waits for a minute for a browser to come with it. An
interaction belongs to one browser: it has the SHA-256 of a cookie that is there before
any sign-in. Either is spent when a code is made.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from msgspec.structs import replace

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.authorize import AuthorizationRequest
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import InteractionExpired, InvalidRequest
from watchword.oauth.parameters import REQUEST_URI
from watchword.ports.once import ReplayCache


class Interaction(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits for its user. `browser` is the SHA-256 of the cookie.

    `pushed` is the name of the ticket that it was pushed as, or "".
    """

    request: AuthorizationRequest
    browser: bytes
    pushed: str = ""


class Interactions:
    """Seals, opens and spends them."""

    def __init__(self, *, tickets: Tickets, once: ReplayCache, clock: Clock) -> None:
        self._tickets = tickets
        self._once = once
        self._clock = clock

    def push(self, request: AuthorizationRequest) -> str:
        """The `request_uri` of a pushed request. Raises InvalidRequest."""
        # It has to fit the interaction that it becomes, which is longer.
        self.seal(Interaction(request=request, browser=bytes(32), pushed="0" * 64))
        return REQUEST_URI + self._tickets.seal(TicketPurpose.PAR, request)

    def of_pushed(self, request_uri: str, client_id: str, browser: str) -> Interaction:
        """The interaction of what this client has pushed, first seen now.

        Raises InteractionExpired, also for a request of another client.
        """
        ticket = request_uri.removeprefix(REQUEST_URI)
        try:
            request = self._tickets.open(
                TicketPurpose.PAR, ticket, AuthorizationRequest
            )
        except TicketInvalid:
            raise InteractionExpired from None
        if request.client_id != client_id:
            raise InteractionExpired
        return Interaction(
            request=replace(request, at=self._clock()),
            browser=_digest(browser),
            pushed=self._tickets.id_of(ticket),
        )

    def of_request(self, request: AuthorizationRequest, browser: str) -> Interaction:
        """The interaction of a request that this browser has brought."""
        return Interaction(request=request, browser=_digest(browser))

    def seal(self, interaction: Interaction) -> str:
        """Its ticket. Raises InvalidRequest for a request that is too long."""
        try:
            return self._tickets.seal(TicketPurpose.INTERACTION, interaction)
        except ValueError:
            raise InvalidRequest("The request is too long.") from None

    def open(self, ticket: str, browser: str) -> Interaction:
        """The interaction, if this browser has begun it. Raises InteractionExpired."""
        try:
            found = self._tickets.open(TicketPurpose.INTERACTION, ticket, Interaction)
        except TicketInvalid:
            raise InteractionExpired from None
        if not hmac.compare_digest(found.browser, _digest(browser)):
            raise InteractionExpired
        return found

    async def spend(self, interaction: Interaction, ticket: str) -> None:
        """Name as granted the ticket, if there is one, and what it was pushed as.

        Raises InteractionExpired where that was done before, StoreUnavailable.
        """
        names = [interaction.pushed, self._tickets.id_of(ticket) if ticket else ""]
        until = self._clock() + limits.INTERACTION_LIFE + limits.FEED_LEEWAY
        uses = [(_spent(name), until) for name in names if name]
        if uses and not all(await self._once.use_once(uses)):
            raise InteractionExpired


def _digest(browser: str) -> bytes:
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).digest()


def _spent(name: str) -> bytes:
    return hashlib.sha256(b"interaction" + name.encode()).digest()
