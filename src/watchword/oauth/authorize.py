"""A client's request for its user: what has to be asked, and then the code.

A request waits in an interaction: a ticket that belongs to one browser, by the cookie
`__Host-watchword-interaction`. It is spent when it grants, not when it is shown.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from watchword.accounts.registry import Accounts
from watchword.clients.registry import Clients
from watchword.clients.rules import GrantType
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import By
from watchword.core.authorize import (
    ALWAYS,
    AuthorizationRequest,
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
from watchword.core.session import Authenticated, Policy, Session, as_text
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import (
    InteractionExpired,
    InvalidRequest,
    InvalidTarget,
    NotFound,
    UnauthorizedClient,
)
from watchword.factors.registry import Factors
from watchword.oauth.codes import Codes
from watchword.oauth.consents import Consents
from watchword.oauth.id_tokens import IdTokens
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
        self._tickets = tickets
        self._once = once
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
        # It has to fit the interaction that it becomes, which is longer.
        self._kept(Interaction(request=request, browser=bytes(32), pushed="0" * 64))
        ticket = self._tickets.seal(TicketPurpose.PAR, request)
        return REQUEST_URI + ticket, limits.PAR_LIFE // limits.SECOND

    async def begin(
        self,
        parameters: Sequence[tuple[str, str]],
        session: Session | None,
        *,
        browser: str,
        by: By,
    ) -> Outcome:
        """What comes of a request that a browser brings to `/oauth/authorize`.

        Raises InvalidRequest for one that is too long to be kept, InteractionExpired
        for one that was pushed too long ago, or granted before; StoreUnavailable.
        """
        pushed = value_of(parameters, "request_uri").removeprefix(REQUEST_URI)
        is_pushed = pushed != value_of(parameters, "request_uri")
        if is_pushed:
            # Only client and ticket count (RFC 9126 §4).
            request = self._pushed(pushed, value_of(parameters, "client_id"))
        else:
            request = self._read(parameters)
        interaction = Interaction(
            request=request,
            browser=_digest(browser),
            pushed=self._tickets.id_of(pushed) if is_pushed else "",
        )
        return await self._next(interaction, "", session, by=by)

    async def asked(self, interaction: str, *, browser: str) -> Asked:
        """What an interaction is about. Nothing is spent.

        Raises InteractionExpired also for one that was begun in another browser, and
        for one of a client that is disabled or has changed its redirect URIs.
        """
        request = self._opened(interaction, browser).request
        client = await self._client(request.client_id)
        if client is None or fault_of(request, self._registered(client)) is not None:
            raise InteractionExpired
        return Asked(request=request, client=client)

    async def go_on(
        self, interaction: str, session: Session | None, *, browser: str, by: By
    ) -> Outcome:
        """What comes next, now that the browser is signed in, or has proved more.

        Raises InteractionExpired, StoreUnavailable.
        """
        opened = self._opened(interaction, browser)
        return await self._next(opened, interaction, session, by=by)

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
        opened = self._opened(interaction, browser)
        if is_granted:
            return await self._next(opened, interaction, session, by=by, says_yes=True)
        return await self._denied(opened.request)

    async def cancel(self, interaction: str, *, browser: str) -> str:
        """Where the browser goes if the user does not want to sign in: `access_denied`.

        Raises InteractionExpired.
        """
        opened = self._opened(interaction, browser)
        return (await self._denied(opened.request)).location

    async def _next(
        self,
        interaction: Interaction,
        ticket: str,
        session: Session | None,
        *,
        by: By,
        says_yes: bool = False,
    ) -> Outcome:
        """The verdict, and what it comes to. `ticket` is that of the interaction."""
        request = interaction.request
        client = await self._client(request.client_id)
        registered = None if client is None else self._registered(client)
        signed_in = await self._signed_in(session, client, says_yes=says_yes)
        root = None if signed_in is None else signed_in.root
        verdict = judge_authorization(request, registered, root, self._clock())
        outcome = Outcome(verdict=verdict, request=request, client=client)
        match verdict:
            case ShowError():
                return outcome
            case SendError():
                return self._sent(outcome, verdict)
            case Issue() if client is not None and signed_in is not None:
                try:
                    code = self._code(request, signed_in, verdict)
                except ValueError:
                    return self._sent(outcome, _TOO_LONG)
                if says_yes:
                    await self._consents.remember(
                        signed_in.proved.account_id,
                        client,
                        verdict.scope,
                        verdict.resources,
                        by=by,
                    )
                await self._spend(interaction, ticket)
                location = answer_with_code(request, code, self.issuer)
                return replace(outcome, location=location)
            case _:
                return replace(outcome, interaction=ticket or self._kept(interaction))

    async def _denied(self, request: AuthorizationRequest) -> Outcome:
        """The user has said no. A client that is unknown by now is told nothing."""
        client = await self._client(request.client_id)
        if client is None or fault_of(request, self._registered(client)) is not None:
            raise InteractionExpired
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

    def _pushed(self, ticket: str, client_id: str) -> AuthorizationRequest:
        """The request that was pushed. Raises InteractionExpired."""
        try:
            request = self._tickets.open(
                TicketPurpose.PAR, ticket, AuthorizationRequest
            )
        except TicketInvalid:
            raise InteractionExpired from None
        if request.client_id != client_id:
            raise InteractionExpired
        return replace(request, at=self._clock())

    async def _client(self, client_id: str) -> Client | None:
        """The client, if there is one of that id and it is enabled."""
        try:
            client = await self._clients.get(client_id)
        except NotFound:
            return None
        return None if client.disabled else client

    def _registered(self, client: Client) -> Registered:
        always: tuple[str, ...] = ALWAYS
        if GrantType.REFRESH_TOKEN not in client.grants:
            always = tuple(one for one in ALWAYS if one != "offline_access")
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
        self, session: Session | None, client: Client | None, *, says_yes: bool
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
            says_yes=says_yes,
        )
        proved = Authenticated(
            account.id, (), account.epoch, row.amr, row.acr, row.auth_time
        )
        return _SignedIn(root, row, proved)

    def _code(
        self, request: AuthorizationRequest, signed_in: _SignedIn, issue: Issue
    ) -> str:
        """The code. Raises ValueError where it would be too long."""
        return self._codes.make(
            signed_in.proved,
            root=signed_in.session.id,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            challenge=request.code_challenge,
            nonce=request.nonce,
            scope=issue.scope,
            resources=issue.resources,
            jkt=request.jkt,
        )

    # Tickets.

    def _kept(self, interaction: Interaction) -> str:
        try:
            return self._tickets.seal(TicketPurpose.INTERACTION, interaction)
        except ValueError:
            raise InvalidRequest("The request is too long.") from None

    def _opened(self, ticket: str, browser: str) -> Interaction:
        """The interaction, if this browser has begun it. Raises InteractionExpired."""
        try:
            found = self._tickets.open(TicketPurpose.INTERACTION, ticket, Interaction)
        except TicketInvalid:
            raise InteractionExpired from None
        if not hmac.compare_digest(found.browser, _digest(browser)):
            raise InteractionExpired
        return found

    async def _spend(self, interaction: Interaction, ticket: str) -> None:
        """Name it as granted, and what it was pushed as. Raises InteractionExpired."""
        names = [interaction.pushed, self._tickets.id_of(ticket) if ticket else ""]
        until = self._clock() + limits.INTERACTION_LIFE + limits.FEED_LEEWAY
        uses = [(_spent(name), until) for name in names if name]
        if uses and not all(await self._once.use_once(uses)):
            raise InteractionExpired


_DENIED = SendError(OAuthFault.ACCESS_DENIED, "The user has said no.")
_TOO_LONG = SendError(OAuthFault.INVALID_REQUEST, "The request is too long.")


def _digest(browser: str) -> bytes:
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).digest()


def _spent(name: str) -> bytes:
    return hashlib.sha256(b"interaction" + name.encode()).digest()


def _refusal(fault: ShowError | SendError) -> InvalidRequest:
    """The error of a push (RFC 9126 §2.3)."""
    if isinstance(fault, ShowError):
        return InvalidRequest("The redirect URI is not one of this client.")
    kind = {
        OAuthFault.UNAUTHORIZED_CLIENT: UnauthorizedClient,
        OAuthFault.INVALID_TARGET: InvalidTarget,
    }.get(fault.fault, InvalidRequest)
    return kind(fault.text)
