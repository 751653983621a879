"""A sign-out that a client asks for (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from watchword.clients.registry import Clients
from watchword.core.actor import By
from watchword.core.session import Session
from watchword.core.ticket import Tickets
from watchword.oauth.id_tokens import IdTokens
from watchword.ports.clients import Client
from watchword.sessions import Sessions


class LogoutOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What comes of a request to sign out.

    With `asks` nothing has ended: a page asks first, and brings `ticket` back. `client`
    and `location` are where the user goes on to, if the request may say so.
    """

    asks: bool
    ticket: str = ""
    client: Client | None = None
    location: str = ""
    is_faulty: bool = False


class Logout:
    """Ends what a client has asked to end."""

    def __init__(
        self,
        *,
        clients: Clients,
        sessions: Sessions,
        id_tokens: IdTokens,
        tickets: Tickets,
    ) -> None:
        self._clients = clients
        self._sessions = sessions
        self._id_tokens = id_tokens
        self._tickets = tickets

    def keep(self, parameters: Mapping[str, str]) -> str:
        """A ticket with a request that came by POST, for the GET that follows.

        Raises InvalidRequest for one that is too long.
        """
        raise NotImplementedError

    async def look(
        self, parameters: Mapping[str, str], session: Session | None, *, by: By
    ) -> LogoutOutcome:
        """End the group of this browser, or say that the user has to be asked.

        `parameters` may be those of `keep`, as `request`. Without a session of the
        browser, the session of the hint ends. Raises StoreUnavailable.
        """
        raise NotImplementedError

    async def confirmed(
        self, ticket: str, session: Session | None, *, by: By
    ) -> LogoutOutcome:
        """The user has said yes on the page: the group ends.

        A ticket that has run out leads to no client. Raises StoreUnavailable.
        """
        raise NotImplementedError
