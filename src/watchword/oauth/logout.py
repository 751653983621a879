"""A sign-out that a client asks for (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from watchword.clients.registry import Clients
from watchword.core import limits
from watchword.core.actor import By, EndReason
from watchword.core.session import Session, as_text, from_text
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import InvalidRequest, NotFound
from watchword.oauth.id_tokens import IdTokenHint, IdTokens
from watchword.ports.clients import Client
from watchword.sessions import Sessions

REQUEST: Final = "request"
"""The parameter with what `Logout.keep` returns."""

HINT: Final = "id_token_hint"
CLIENT_ID: Final = "client_id"
REDIRECT_URI: Final = "post_logout_redirect_uri"
STATE: Final = "state"
PARAMETERS: Final = (HINT, CLIENT_ID, REDIRECT_URI, STATE)
"""The parameters of a request (§2) that count. Others are ignored."""


class LogoutOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What comes of a request to sign out.

    With `asks` nothing has ended: a page asks first, and brings `ticket` back. `client`
    and `location` are where the user goes on to, if the request may say so. With
    `is_kept` this browser has a sign-in which has run out, and what ended was another:
    so its cookie stays, by which a later sign-in here ends it.
    """

    asks: bool
    ticket: str = ""
    client: Client | None = None
    location: str = ""
    is_faulty: bool = False
    is_kept: bool = False


class _Kept(msgspec.Struct, frozen=True):
    """The parameters of a POST, in a ticket."""

    parameters: dict[str, str]


class _Destination(msgspec.Struct, frozen=True):
    """Where a request wants its user to go on to, in the ticket of the question.

    `is_faulty` is what was wrong with the hint.
    """

    client_id: str = ""
    uri: str = ""
    state: str = ""
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
        known = {name: parameters[name] for name in PARAMETERS if name in parameters}
        return self._seal(_Kept(known))

    async def look(
        self,
        parameters: Mapping[str, str],
        session: Session | None,
        *,
        lapsed: Session | None = None,
        by: By,
    ) -> LogoutOutcome:
        """End the group of this browser, or say that the user has to be asked.

        `parameters` may be those of `keep`, as `request`. `session` is the sign-in of
        the browser, `lapsed` one that has run out. The user is not asked where the
        hint is of that sign-in's group: a request alone could come from any site.
        Without a sign-in of the browser, the session of the hint ends. Raises
        StoreUnavailable, and InvalidRequest for what is too long to be asked about.
        """
        given = self._unpacked(parameters)
        text = given.get(HINT, "")
        hint = self._id_tokens.read_hint(text) if text else None
        client_id = given.get(CLIENT_ID, "") or (hint.client_id if hint else "")
        if hint is not None and hint.client_id != client_id:
            hint = None
        destination = _Destination(
            client_id,
            given.get(REDIRECT_URI, ""),
            given.get(STATE, ""),
            bool(text) and hint is None,
        )
        row = None if hint is None else await self._session_of(hint)
        browser = session or lapsed
        if row is not None and browser is not None and row.group == browser.id:
            await self._sessions.end_one(browser.id, EndReason.LOGOUT, by=by)
            return await self._outcome(destination)
        if session is not None:
            ticket = self._seal(destination, life=limits.INTERACTION_LIFE)
            return await self._outcome(destination, ticket=ticket)
        if row is not None:
            await self._sessions.end_one(row.id, EndReason.LOGOUT, by=by)
        return await self._outcome(destination, is_kept=lapsed is not None)

    async def confirmed(
        self, ticket: str, session: Session | None, *, by: By
    ) -> LogoutOutcome:
        """The user has said yes on the page: the group ends.

        A ticket that has run out leads to no client. Raises StoreUnavailable.
        """
        if session is not None:
            await self._sessions.end_one(session.id, EndReason.LOGOUT, by=by)
        return await self._outcome(self._destination(ticket))

    async def asked(self, ticket: str) -> LogoutOutcome:
        """The question that had this ticket, once more. Nothing ends."""
        return await self._outcome(self._destination(ticket), ticket=ticket)

    def _destination(self, ticket: str) -> _Destination:
        try:
            return self._tickets.open(TicketPurpose.LOGOUT, ticket, _Destination)
        except TicketInvalid:
            return _Destination()

    def _unpacked(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        text = parameters.get(REQUEST)
        if text is None:
            return parameters
        try:
            return self._tickets.open(TicketPurpose.LOGOUT, text, _Kept).parameters
        except TicketInvalid:
            return {}

    def _seal(self, statement: msgspec.Struct, *, life: int | None = None) -> str:
        try:
            return self._tickets.seal(TicketPurpose.LOGOUT, statement, life=life)
        except ValueError:
            raise InvalidRequest("The request to sign out is too long.") from None

    async def _session_of(self, hint: IdTokenHint) -> Session | None:
        session_id = from_text(hint.sid)
        row = None if session_id is None else await self._sessions.get(session_id)
        if row is None or as_text(row.account_id) != hint.subject:
            return None
        return row

    async def _outcome(
        self, destination: _Destination, *, ticket: str = "", is_kept: bool = False
    ) -> LogoutOutcome:
        """Where to go on to. A request with a fault ends at a page, never elsewhere."""
        client, uri = await self._client(destination), destination.uri
        is_faulty = destination.is_faulty or (
            client is None and bool(destination.client_id or uri)
        )
        if uri and client is not None and uri not in client.post_logout_redirect_uris:
            is_faulty = True
        return LogoutOutcome(
            asks=bool(ticket),
            ticket=ticket,
            client=client,
            location="" if is_faulty else _with_state(uri, destination.state),
            is_faulty=is_faulty,
            is_kept=is_kept,
        )

    async def _client(self, destination: _Destination) -> Client | None:
        """The client, if it may be named: it is enabled, and its hint was genuine."""
        if destination.is_faulty or not destination.client_id:
            return None
        try:
            client = await self._clients.get(destination.client_id)
        except NotFound:
            return None
        return None if client.disabled else client


def _with_state(uri: str, state: str) -> str:
    if not uri or not state:
        return uri
    mark = "" if uri[-1] in "?&" else "&" if "?" in uri else "?"
    return f"{uri}{mark}{STATE}={quote(state, safe='')}"
