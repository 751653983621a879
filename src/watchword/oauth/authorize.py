"""A client's request for its user: what has to be asked, and then the code.

While pages ask, the request waits in an interaction: see `interactions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from watchword.accounts.registry import Accounts
from watchword.clients.registry import Clients
from watchword.clients.rules import GrantType
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import By
from watchword.core.authorize import (
    AuthorizationRequest,
    Granted,
    Issue,
    OAuthFault,
    Registered,
    Root,
    SendError,
    ShowError,
    Verdict,
    fault_of,
    judge_authorization,
)
from watchword.core.policies import PAGES
from watchword.core.scopes import ALWAYS, OFFLINE_ACCESS
from watchword.core.session import Authenticated, Policy, Session, as_text
from watchword.core.ticket import Tickets
from watchword.errors import (
    InteractionExpired,
    InvalidRequest,
    InvalidTarget,
    NotFound,
    RequestNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from watchword.factors.registry import Factors
from watchword.oauth.codes import Codes
from watchword.oauth.consents import Consents
from watchword.oauth.id_tokens import IdTokens
from watchword.oauth.interactions import Interaction, Interactions
from watchword.oauth.parameters import (
    REQUEST_URI,
    answer_with_code,
    answer_with_error,
    request_of,
    value_of,
)
from watchword.ports.clients import Client
from watchword.ports.once import ReplayCache
from watchword.sessions import Sessions


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


class _SignedIn(msgspec.Struct, frozen=True):
    """A browser's sign-in that lives: as the rule sees it, and what a code says of it.

    `epoch` and `roles` of `proved` were read before the session was seen alive.
    """

    root: Root
    session: Session
    proved: Authenticated


class AuthorizationServer:
    """Judges requests, keeps them while pages ask, and makes codes.

    `browser` is everywhere the value of the cookie. `session` is the browser's sign-in,
    or None. `policy` is that of the sessions which codes make.
    """

    def __init__(
        self,
        *,
        clients: Clients,
        accounts: Accounts,
        sessions: Sessions,
        factors: Factors,
        consents: Consents,
        codes: Codes,
        id_tokens: IdTokens,
        tickets: Tickets,
        once: ReplayCache,
        policy: Policy,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._accounts = accounts
        self._sessions = sessions
        self._factors = factors
        self._consents = consents
        self._codes = codes
        self._id_tokens = id_tokens
        self._interactions = Interactions(tickets=tickets, once=once, clock=clock)
        self._policy = policy
        self.issuer = issuer
        self._clock = clock

    async def push(
        self, parameters: Sequence[tuple[str, str]], client: Client, *, jkt: str
    ) -> tuple[str, int]:
        """A `request_uri` for these parameters, and its seconds (RFC 9126 §2.2).

        `client` has authenticated. `jkt` is the thumbprint of the key that it proved,
        or "". Raises InvalidRequest and its kinds for what `begin` would refuse.
        """
        request = replace(self._read(parameters), pushed=True)
        if request.client_id not in ("", client.id):
            raise InvalidRequest("The client named itself in two ways.")
        if jkt and request.jkt not in ("", jkt):
            raise InvalidRequest("dpop_jkt is not the key of the DPoP proof.")
        request = replace(request, client_id=client.id, jkt=jkt or request.jkt)
        fault = fault_of(request, self._registered(client))
        if fault is not None:
            raise _refusal(fault)
        request_uri = self._interactions.push(request)
        return request_uri, limits.PAR_LIFE // limits.SECOND

    async def begin(
        self,
        parameters: Sequence[tuple[str, str]],
        session: Session | None,
        *,
        browser: str,
        by: By,
    ) -> Outcome:
        """What comes of a request that a browser brings to `/oauth/authorize`.

        Raises InteractionExpired for one that was pushed too long ago, or granted
        before; StoreUnavailable.
        """
        request_uri = value_of(parameters, "request_uri")
        if request_uri.startswith(REQUEST_URI):
            # Only client and ticket count (RFC 9126 §4).
            client_id = value_of(parameters, "client_id")
            interaction = self._interactions.of_pushed(request_uri, client_id, browser)
        else:
            request = self._read(parameters)
            interaction = self._interactions.of_request(request, browser)
        return await self._next(interaction, "", session, by=by)

    async def asked(self, interaction: str, *, browser: str) -> Asked:
        """What an interaction is about. Nothing is spent.

        Raises InteractionExpired also for one that was begun in another browser, and
        for one of a client that is disabled or has changed its redirect URIs.
        """
        request = self._interactions.open(interaction, browser).request
        return Asked(request=request, client=await self._still_client_of(request))

    async def go_on(
        self, interaction: str, session: Session | None, *, browser: str, by: By
    ) -> Outcome:
        """What comes next, now that the browser is signed in, or has proved more.

        Raises InteractionExpired, StoreUnavailable.
        """
        opened = self._interactions.open(interaction, browser)
        return await self._next(opened, interaction, session, by=by)

    async def consent(
        self,
        interaction: str,
        session: Session,
        *,
        allows: Granted | None,
        browser: str,
        by: By,
    ) -> Outcome:
        """What comes of the user's answer on the page `/consent`.

        `allows` is what the page has shown. It is remembered, and the code made, if
        nothing else is lacking; None is a no, and the client is told `access_denied`.
        Raises as `go_on`.
        """
        opened = self._interactions.open(interaction, browser)
        if allows is None:
            return await self._denied(opened.request)
        return await self._next(opened, interaction, session, by=by, allows=allows)

    async def cancel(self, interaction: str, *, browser: str) -> str:
        """Where the browser goes if the user does not want to sign in: `access_denied`.

        Raises InteractionExpired.
        """
        opened = self._interactions.open(interaction, browser)
        return (await self._denied(opened.request)).location

    async def _next(
        self,
        interaction: Interaction,
        ticket: str,
        session: Session | None,
        *,
        by: By,
        allows: Granted | None = None,
    ) -> Outcome:
        """The verdict, and what it comes to. `ticket` is that of the interaction."""
        request = interaction.request
        client = await self._client(request.client_id)
        registered = None if client is None else self._registered(client)
        signed_in = await self._signed_in(session, client, allows)
        root = None if signed_in is None else signed_in.root
        verdict = judge_authorization(request, registered, root, self._clock())
        outcome = Outcome(verdict=verdict, request=request, client=client)
        if isinstance(verdict, ShowError):
            return outcome
        if isinstance(verdict, SendError):
            return self._sent(outcome, verdict)
        if isinstance(verdict, Issue) and client is not None and signed_in is not None:
            code = self._code(request, signed_in, verdict)
            if isinstance(code, SendError):
                return self._sent(outcome, code)
            account_id, scope = signed_in.proved.account_id, verdict.scope
            if allows is None and not client.trusted:
                await self._consents.used(account_id, client.id)
            await self._interactions.spend(interaction, ticket)
            if allows is not None and not client.trusted:
                await self._consents.remember(
                    account_id, client, scope, verdict.resources, by=by
                )
            location = answer_with_code(request, code, self.issuer)
            return replace(outcome, location=location)
        try:
            ticket = ticket or self._interactions.seal(interaction)
        except InvalidRequest:
            return self._sent(outcome, _TOO_LONG)
        return replace(outcome, interaction=ticket)

    async def _denied(self, request: AuthorizationRequest) -> Outcome:
        """The user has said no. A client that may not be sent to by now is not told."""
        client = await self._still_client_of(request)
        outcome = Outcome(verdict=_DENIED, request=request, client=client)
        return self._sent(outcome, _DENIED)

    def _sent(self, outcome: Outcome, error: SendError) -> Outcome:
        location = answer_with_error(outcome.request, error, self.issuer)
        return replace(outcome, verdict=error, location=location)

    # The request and its client.

    def _read(self, parameters: Sequence[tuple[str, str]]) -> AuthorizationRequest:
        def subject_of(hint: str) -> str | None:
            read = self._id_tokens.read_hint(hint)
            return None if read is None else read.subject

        return request_of(parameters, at=self._clock(), subject_of=subject_of)

    async def _client(self, client_id: str) -> Client | None:
        """The client, if there is one of that id that users are sent by."""
        try:
            client = await self._clients.get(client_id)
        except NotFound:
            return None
        return None if client.disabled or client_id == PAGES else client

    async def _still_client_of(self, request: AuthorizationRequest) -> Client:
        """The client of a request that has waited. Raises InteractionExpired.

        It may have been disabled meanwhile, or have other redirect URIs.
        """
        client = await self._client(request.client_id)
        if client is None or fault_of(request, self._registered(client)) is not None:
            raise InteractionExpired
        return client

    def _registered(self, client: Client) -> Registered:
        always: tuple[str, ...] = ALWAYS
        if GrantType.REFRESH_TOKEN not in client.grants:
            always = tuple(one for one in ALWAYS if one != OFFLINE_ACCESS)
        return Registered(
            is_public=client.secret_hash is None,
            uses_code=GrantType.AUTHORIZATION_CODE in client.grants,
            redirect_uris=client.redirect_uris,
            scope=(*always, *client.scope),
            resources=client.audience or (self._policy.audience,),
            audience=client.audience,
            pkce=client.pkce,
            par=client.par,
            trusted=client.trusted,
        )

    # The browser's sign-in.

    async def _signed_in(
        self, session: Session | None, client: Client | None, allows: Granted | None
    ) -> _SignedIn | None:
        """The sign-in as it is now; None where it has ended, or its account is no more.

        A change that must end an account's sessions first raises its epoch. So the
        account is read before the session, and a code has the epoch of a moment at
        which the session was alive.
        """
        if session is None or client is None:
            return None
        try:
            account = await self._accounts.get_by_subject(as_text(session.account_id))
        except NotFound:
            return None
        enrolled = await self._factors.of(account.id, account.roles)
        remembered = await self._consents.remembered(account.id, client.id)
        row = await self._sessions.get(session.id)
        now = self._clock()
        if row is None or row.revoked_at is not None or account.disabled:
            return None
        if now >= self._sessions.ends_at(row):
            return None
        root = Root(
            subject=account.subject,
            auth_time=row.auth_time,
            acr=row.acr,
            until=min(
                now + self._policy.refresh_idle,
                row.auth_time + self._policy.refresh_absolute,
            ),
            has_factor=bool(enrolled.factors),
            remembered=remembered,
            allows=allows,
        )
        proved = Authenticated(
            account.id, (), account.epoch, row.amr, row.acr, row.auth_time
        )
        return _SignedIn(root, row, proved)

    def _code(
        self, request: AuthorizationRequest, signed_in: _SignedIn, issue: Issue
    ) -> str | SendError:
        """The code; or what the client is told in its place."""
        root = signed_in.session
        if not self._codes.has_room(root.id):
            return _TOO_MANY
        try:
            return self._codes.make(
                signed_in.proved,
                root=root,
                client_id=request.client_id,
                redirect_uri=request.redirect_uri,
                challenge=request.code_challenge,
                nonce=request.nonce,
                scope=issue.scope,
                resources=issue.resources,
                jkt=request.jkt,
            )
        except ValueError:
            return _TOO_LONG


_DENIED = SendError(OAuthFault.ACCESS_DENIED, "The user has said no.")
_TOO_MANY = SendError(
    OAuthFault.TEMPORARILY_UNAVAILABLE, "Too many requests of this browser."
)
_TOO_LONG = SendError(OAuthFault.INVALID_REQUEST, "The request is too long.")


def _refusal(fault: ShowError | SendError) -> InvalidRequest:
    """The error of a push (RFC 9126 §2.3)."""
    if isinstance(fault, ShowError):
        return InvalidRequest("The redirect URI is not one of this client.")
    return _REFUSALS.get(fault.fault, InvalidRequest)(fault.text)


_REFUSALS: Final = {
    OAuthFault.UNAUTHORIZED_CLIENT: UnauthorizedClient,
    OAuthFault.UNSUPPORTED_RESPONSE_TYPE: UnsupportedResponseType,
    OAuthFault.REQUEST_NOT_SUPPORTED: RequestNotSupported,
    OAuthFault.INVALID_TARGET: InvalidTarget,
}
