"""From a code to a session (RFC 6749 §4.1.3), and again where the answer was lost.

A code names the session that it makes. So whether it was redeemed before is whether
that session is there, and there is no other memory of it:

    no session yet    look, write it, look again; take it back if anything has changed
    the same request  its answer was lost: the same refresh token, if all is as it was
    any other         the code was stolen: its session ends (RFC 6749 §4.1.2)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, TypedDict, Unpack

import msgspec

from watchword.clients.registry import Clients
from watchword.clients.rules import GrantType
from watchword.clocks import Clock, Entropy
from watchword.core import base64url, limits, redirect_uri
from watchword.core.actor import SYSTEM, Actor, By, EndReason
from watchword.core.code import CodeGrant, mark_of, secret_of, session_of
from watchword.core.policies import Policies
from watchword.core.rotation import Presented, Refuse, too_wide
from watchword.core.scopes import OPENID
from watchword.core.session import (
    Authenticated,
    RequestedToken,
    Session,
    SessionOptions,
    TokenSet,
)
from watchword.errors import (
    CodeInvalid,
    CodeReused,
    InvalidCredentials,
    NotFound,
    StoreUnavailable,
)
from watchword.metrics import Metrics
from watchword.metrics.catalog import OTHER, Counter
from watchword.oauth.codes import Codes
from watchword.oauth.consents import Consents
from watchword.oauth.id_tokens import IdTokens
from watchword.ports.clients import Client
from watchword.sessions import Sessions
from watchword.sessions.groups import outlives
from watchword.sessions.redeeming import Redeemer
from watchword.sign_in.begin import SignIn
from watchword.tokens.dpop import Proofs, Signed

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636 §4.1."""


class CodeRequest(TypedDict):
    """What a request with a code says besides the code. "" for what did not come."""

    redirect_uri: str
    code_verifier: str
    client_secret: str
    retry_key: str | None
    requested: RequestedToken
    proof: Signed | None
    address: str
    user_agent: str


class Exchanged(msgspec.Struct, frozen=True):
    """The tokens of a code. `id_token` is "" where `openid` was not granted."""

    tokens: TokenSet
    id_token: str


class _Redemption(msgspec.Struct, frozen=True):
    """A code that its client may redeem, and the request that it came with."""

    grant: CodeGrant
    client: Client
    redirect_uri: str
    options: SessionOptions
    presented: Presented
    user_agent: str


class CodeExchange:
    """Redeems codes."""

    def __init__(
        self,
        *,
        codes: Codes,
        redeemer: Redeemer,
        clients: Clients,
        sessions: Sessions,
        sign_in: SignIn,
        consents: Consents,
        id_tokens: IdTokens,
        proofs: Proofs,
        policies: Policies,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._codes = codes
        self._redeemer = redeemer
        self._clients = clients
        self._sessions = sessions
        self._sign_in = sign_in
        self._consents = consents
        self._id_tokens = id_tokens
        self._proofs = proofs
        self._policies = policies
        self._clock = clock
        self._entropy = entropy

    async def redeem(
        self, code: str, client: Client, **request: Unpack[CodeRequest]
    ) -> Exchanged:
        """The session of a code: made, or given again to the caller that made it.

        `client` has authenticated. Raises CodeInvalid, with nothing ended; CodeReused,
        with the session ended. Raises InvalidProof, InvalidScope, InvalidTarget,
        Overloaded, Throttled, StoreUnavailable with nothing spent. A session that was
        written before the store failed is taken back: then its code is spent.
        """
        result = OTHER
        try:
            exchanged, result = await self._redeem(code, client, request)
        except CodeInvalid:
            result = "invalid"
            raise
        except CodeReused:
            result = "reused"
            raise
        finally:
            self._metrics.count(Counter.CODES, result)
        return exchanged

    async def _redeem(
        self, code: str, client: Client, request: CodeRequest
    ) -> tuple[Exchanged, str]:
        """The session and its tokens, and whether they are `redeemed` or `retried`."""
        redemption = self._checked(self._codes.read(code), client, request)
        if request["proof"] is not None:
            await self._proofs.settle_one(request["proof"])
        if OPENID in redemption.grant.scope:
            await self._id_tokens.prepare(client)
        row = await self._redeemer.find(redemption.presented)
        if row is None:
            made = await self._made(redemption)
            if made is not None:
                return made, "redeemed"
            row = await self._redeemer.find(redemption.presented)
            if row is None:  # it was there a moment ago
                raise CodeInvalid
        return await self._again(redemption, row), "retried"

    def _checked(
        self, grant: CodeGrant, client: Client, request: CodeRequest
    ) -> _Redemption:
        """The redemption of that code. Raises CodeInvalid where it is not the client's.

        Nothing is loaded before that: a caller that cannot show all of it can end
        nothing.
        """
        proof = request["proof"]
        jkt = None if proof is None else proof.key.kid
        uri = hashlib.sha256(request["redirect_uri"].encode()).digest()
        if (
            grant.client_id != client.id
            or not hmac.compare_digest(grant.redirect_hash, uri)
            or (grant.jkt and grant.jkt != jkt)
        ):
            raise CodeInvalid
        key = request["retry_key"]
        presented = Presented(
            grant.session_id,
            0,
            secret_of(grant.seed, _shown(grant, request)),
            client.id,
            # Without a key of the client's there is one that only this request knows.
            self._entropy(16).hex() if key is None else key,
            msgspec.structs.replace(request["requested"], jkt=jkt),
            address=request["address"],
        )
        return _Redemption(
            grant,
            client,
            request["redirect_uri"],
            _options_of(grant, client, jkt),
            presented,
            request["user_agent"],
        )

    async def _made(self, redemption: _Redemption) -> Exchanged | None:
        """The session made, and its tokens; None if another request was faster."""
        grant, presented = redemption.grant, redemption.presented
        now, policy = self._clock(), self._policies.apps
        if abs(now - grant.at) > limits.CODE_LIFE:
            raise CodeInvalid
        authenticated = await self._looked_at(redemption)
        session = session_of(
            grant,
            authenticated,
            redemption.options,
            policy,
            presented,
            user_agent=redemption.user_agent,
            now=now,
        )
        if isinstance(refused := too_wide(session, presented, policy), Refuse):
            raise refused.error
        # Made before the session is written: afterwards, no answer may fail.
        answer = await self._answer(redemption, session)
        async with self._sessions.taken_back_on_failure(session.id, session.address):
            if not await self._redeemer.create(session):
                return None
            try:
                await self._settle(redemption, session)
            except StoreUnavailable:
                # Once more: if this fails, the code is spent.
                await self._settle(redemption, session)
        return answer

    async def _settle(self, redemption: _Redemption, session: Session) -> None:
        """Look at a session that has just been written, and make room for it."""
        # What ends sessions may have missed this one.
        await self._looked_at(redemption, session)
        by = By(Actor.SYSTEM, session.address)
        await self._sessions.groups.make_room(session, by=by)

    async def _again(self, redemption: _Redemption, session: Session) -> Exchanged:
        """The tokens of a session that this very request has made before."""
        try:
            await self._looked_at(redemption, session, again=True)
        except CodeInvalid:
            # The process that made it may have died before it looked.
            await self._sessions.end_one(session.id, EndReason.TAKEN_BACK, by=SYSTEM)
            raise
        return await self._answer(redemption, session)

    async def _looked_at(
        self,
        redemption: _Redemption,
        session: Session | None = None,
        *,
        again: bool = False,
    ) -> Authenticated:
        """What the user has proved, with its roles of now, if the code holds still.

        `session` is what the code has made: it gets these roles, if it has others.
        Before there is one, the client counts as it has just authenticated. `again`: it
        may outlive the browser's sign-in, as it would have after its answer. Raises
        CodeInvalid if the client, the consent, the browser's sign-in or the account
        have changed since the code was made; StoreUnavailable.
        """
        grant, client = redemption.grant, redemption.client
        proved = grant.authenticated
        try:
            if session is not None:
                client = await self._clients.get(client.id)
            if not _may_redeem(client, redemption.redirect_uri):
                raise CodeInvalid
            if not await self._consents.covers(
                proved.account_id, client, grant.scope, grant.resources
            ):
                raise CodeInvalid
            root = await self._sessions.get(grant.root)
            if root is None or not _is_of(root, grant):
                raise CodeInvalid
            may_outlive = again and session is not None and outlives(session, root)
            if not (may_outlive or self._is_alive(root)):
                raise CodeInvalid
            # Without a session those of the root: no other session is to get them.
            roles = (session or root).roles
            proved = msgspec.structs.replace(proved, roles=roles)
            return await self._sign_in.admitted(proved)
        except (NotFound, InvalidCredentials):
            raise CodeInvalid from None

    def _is_alive(self, root: Session) -> bool:
        ends_at = self._sessions.ends_at(root)
        return root.revoked_at is None and self._clock() < ends_at

    async def _answer(self, redemption: _Redemption, session: Session) -> Exchanged:
        tokens = await self._redeemer.tokens_of(session, redemption.presented)
        if OPENID not in session.scope:
            return Exchanged(tokens, "")
        id_token = await self._id_tokens.make(
            session,
            redemption.client,
            tokens.access_token,
            nonce=redemption.grant.nonce,
        )
        return Exchanged(tokens, id_token)


def _is_of(root: Session, grant: CodeGrant) -> bool:
    """Whether that session of a browser is the one which the code was made for."""
    is_theirs = root.account_id == grant.authenticated.account_id
    return is_theirs and hmac.compare_digest(mark_of(root), grant.root_mark)


def _may_redeem(client: Client, uri: str) -> bool:
    """Whether the client still has the grant, and the redirect URI of its request."""
    has_grant = GrantType.AUTHORIZATION_CODE in client.grants and not client.disabled
    return has_grant and redirect_uri.is_registered(uri, client.redirect_uris)


def _options_of(grant: CodeGrant, client: Client, jkt: str | None) -> SessionOptions:
    """The options of the session. `jkt` is the key that this request has proved."""
    # A confidential client authenticates at each refresh anyway (RFC 9449 §5), unless
    # it has asked for a key.
    binds = client.secret_hash is None or grant.jkt
    return SessionOptions(
        client_id=client.id,
        access_ttl=client.access_ttl,
        grace=client.grace,
        scope=grant.scope,
        audience=grant.resources or client.audience,
        jkt=jkt if binds else None,
        started_from=grant.root,
    )


def _shown(grant: CodeGrant, request: CodeRequest) -> str:
    """The verifier, or the client's secret where there was no challenge (RFC 7636).

    Raises CodeInvalid for a wrong verifier, and for one without the other: a code
    without a challenge was asked for by a request that was not this client's
    (RFC 9700 §4.8.2).
    """
    verifier = request["code_verifier"]
    if not grant.challenge:
        if verifier or not request["client_secret"]:
            raise CodeInvalid
        return request["client_secret"]
    if _VERIFIER.fullmatch(verifier) is None:
        raise CodeInvalid
    digest = base64url.encode(hashlib.sha256(verifier.encode()).digest())
    if not hmac.compare_digest(digest, grant.challenge.encode()):
        raise CodeInvalid
    return verifier
