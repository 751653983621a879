"""OAuth clients: which programs may ask for tokens, for which ones, and their secrets.

A public client has no secret: its id only says which client a session belongs to. A
confidential client proves that it has its secret. It may then have tokens of its own
(RFC 6749 §4.4), or rights that concern the sessions of other clients (`introspect`,
`feed`). An unknown client, a disabled one, no secret and a wrong secret get the same
answer at about the same cost.

rules       what a client may be, and the client that is built in
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec

from watchword.audit import AuditLimit
from watchword.clients.rules import (
    CLIENT_CREDENTIALS,
    FIRST_PARTY,
    GRANTS,
    INTROSPECT,
    REFRESH_TOKEN,
    RIGHTS,
    check,
    is_name,
)
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.access_token import client_claims
from watchword.core.actor import APP, By, EndReason
from watchword.core.network import caller_of
from watchword.core.session import Policy, RequestedToken
from watchword.core.throttle import Cost
from watchword.errors import (
    InvalidClient,
    InvalidProof,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    NameTaken,
    NotFound,
    StoreUnavailable,
    Throttled,
    UnauthorizedClient,
)
from watchword.keys.ring import KeyRing
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.clients import Client, ClientStore
from watchword.ports.sessions import ByClient, Selector
from watchword.ports.throttle import Throttle

__all__ = [
    "CLIENT_CREDENTIALS",
    "FIRST_PARTY",
    "GRANTS",
    "INTROSPECT",
    "REFRESH_TOKEN",
    "RIGHTS",
    "ClientGrant",
    "Clients",
    "SessionsOfClients",
]

SECRET_PREFIX: Final = "ww_cs_"  # noqa: S105 - what secret scanners look for

_NO_HASH: Final = bytes(32)
# A disabled client is refused everywhere within a second, as a revoked session is.
_FRESH: Final = limits.SECOND
_KEPT: Final = 10_000
_log = logging.getLogger("watchword.clients")


class ClientGrant(msgspec.Struct, frozen=True):
    """A client's own access token. `expires_in` is in seconds.

    `bound`: whether the token works only with proofs of a DPoP key.
    """

    access_token: str
    expires_in: int
    scope: tuple[str, ...]
    bound: bool


class SessionsOfClients(Protocol):
    """The method of `sessions.Sessions` that clients use."""

    async def revoke(self, which: Selector, reason: str, *, by: By = APP) -> int:
        """End sessions, and return how many were alive."""


class Clients:
    """OAuth clients, their secrets and their own tokens."""

    def __init__(
        self,
        *,
        clients: ClientStore,
        throttle: Throttle,
        audit: AuditLog,
        sessions: SessionsOfClients,
        keys: KeyRing,
        policy: Policy,
        issuer: str,
        clock: Clock,
        entropy: Entropy,
        first_party_scope: tuple[str, ...] = (),
    ) -> None:
        self._first_party = msgspec.structs.replace(
            FIRST_PARTY, scope=first_party_scope, grace=policy.grace
        )
        self._store = clients
        self._throttle = throttle
        self._sessions = sessions
        self._keys = keys
        self._policy = policy
        self.issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._events = AuditLimit(audit.record)
        self._known: dict[str, tuple[Client, int]] = {}

    async def authenticate(
        self, client_id: str, secret: str | None, *, address: str = ""
    ) -> Client:
        """The client of that id, if the secret is its own, or if neither has one.

        Raises InvalidClient without saying why; Throttled, StoreUnavailable.
        """
        if client_id == FIRST_PARTY.id and secret is None:
            return self._first_party
        now = self._clock()
        shown = None if secret is None else _hash_of(secret)
        client, read_at = self._known.get(client_id, (None, 0))
        if client is not None and abs(now - read_at) < _FRESH and _is(client, shown):
            return client
        # A cached client never refuses: its secret may have been replaced just now, so
        # the store is asked.
        client = await self._load(client_id, now)
        # An unknown id is compared too, with a client that no secret fits, so that it
        # takes as long as a known one.
        if _is(client or FIRST_PARTY, shown) and client is not None:
            return client
        raise await self._failed(client_id, client, address, now)

    async def _load(self, client_id: str, now: int) -> Client | None:
        self._known.pop(client_id, None)
        plausible = is_name(client_id)
        client = await self._store.load(client_id) if plausible else None
        if client is not None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[client_id] = client, now
        return client

    async def _failed(
        self, client_id: str, client: Client | None, address: str, now: int
    ) -> InvalidClient | Throttled:
        """Count a failure, and return the error to raise.

        It is counted after the comparison, unlike a wrong password: 256 random bits
        cannot be guessed, and so a flood of failures for an id cannot lock its client
        out. The count only bounds the work and the number of events.
        """
        wait = await self._throttle.take(_costs(client_id, address), now)
        # All unknown ids share one limit of events, and are not recorded: people
        # sometimes paste a secret in place of the id.
        event = Event(
            type=EventType.CLIENT_FAILED,
            at=now,
            client_id=None if client is None else client.id,
            address=address,
            detail={"reason": _reason(client), "throttled": wait > 0},
        )
        await self._events.record(event, event.client_id or "")
        message = "Too many failures of client authentication: wait before the next."
        over = Throttled(message, retry_after=wait // 1000 + 1)
        return over if wait else InvalidClient()

    def token(self, client: Client, requested: RequestedToken) -> ClientGrant:
        """An access token of the client's own (RFC 6749 §4.4).

        Raises UnauthorizedClient, InvalidProof, InvalidScope, InvalidTarget.
        """
        if CLIENT_CREDENTIALS not in client.grants:
            raise UnauthorizedClient
        if client.dpop and requested.jkt is None:
            raise InvalidProof("This client must send a DPoP proof.")
        scope = client.scope if requested.scope is None else requested.scope
        if not set(scope) <= set(client.scope):
            raise InvalidScope
        audience = client.audience or (self._policy.audience,)
        if not set(requested.resources or ()) <= set(audience):
            raise InvalidTarget
        now = self._clock()
        claims = client_claims(
            client.id,
            RequestedToken(scope, requested.resources, requested.jkt),
            issuer=self.issuer,
            audience=audience,
            life=client.access_ttl or self._policy.access_ttl,
            jti=self._entropy(16).hex(),
            now=now,
        )
        token = self._keys.active.sign(claims, {})
        # Not recorded in the audit log. That would be a durable write, for a token that
        # changes nothing and needs no store, and a service may ask for one at each of
        # its calls.
        _log.info("access token %s for client %s", claims.jti, client.id)
        return ClientGrant(
            token, claims.exp - claims.iat, scope, claims.cnf is not None
        )

    async def add(
        self,
        name: str,
        *,
        confidential: bool,
        scope: Iterable[str] = (),
        audience: Iterable[str] = (),
        access_ttl: int | None = None,
        grants: Iterable[str] | None = None,
        rights: Iterable[str] = (),
        dpop: bool = False,
        checks_dpop: bool = False,
        grace: int = limits.CLIENT_GRACE,
        by: By = APP,
    ) -> tuple[Client, str | None]:
        """A new client and, if it is confidential, its secret.

        Only a hash of the secret is kept: it cannot be shown again. `access_ttl`
        and `grace` are in milliseconds. Raises InvalidRequest, NameTaken.
        """
        rights = tuple(dict.fromkeys(rights))
        if grants is None:
            # The credentials of a resource server are for introspection alone (RFC 9701
            # §3): a client with rights gets no grants by default.
            grants = () if rights else GRANTS if confidential else (REFRESH_TOKEN,)
        secret = self._new_secret() if confidential else None
        client = Client(
            id=name,
            secret_hash=None if secret is None else _hash_of(secret),
            created_at=self._clock(),
            scope=tuple(dict.fromkeys(scope)),
            audience=tuple(dict.fromkeys(audience)),
            access_ttl=access_ttl,
            grants=tuple(dict.fromkeys(grants)),
            rights=rights,
            dpop=dpop,
            checks_dpop=checks_dpop,
            grace=grace,
        )
        check(client)
        event = Event(
            type=EventType.CLIENT_CREATED,
            at=client.created_at,
            client_id=name,
            address=by.address,
            detail=by.detail(confidential=confidential, rights=" ".join(rights)),
        )
        try:
            await self._store.add(client, event)
        except NameTaken:
            message = f"there is a client named {name!r} already"
            raise NameTaken(message) from None
        return client, secret

    async def get(self, name: str) -> Client:
        """The client of that id, also the built-in client. Raises NotFound."""
        if name == FIRST_PARTY.id:
            return self._first_party
        client = await self._store.load(name) if is_name(name) else None
        if client is None:
            message = f"there is no client named {name!r}"
            raise NotFound(message)
        return client

    async def is_enabled(self, client_id: str) -> bool:
        """Whether that client exists and is enabled. Asks the store each time."""
        try:
            return not (await self.get(client_id)).disabled
        except NotFound:
            return False

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Client]:
        """At most `limit` clients that were added, by id, beginning behind `after`."""
        return await self._store.list(after=after, limit=limit)

    async def rotate_secret(self, name: str, *, by: By = APP) -> str:
        """Make and return a new secret. The old one stops working within a second.

        Raises NotFound, and InvalidRequest for a public client.
        """
        secret = self._new_secret()

        def change(client: Client) -> Client:
            if client.secret_hash is None:
                message = f"{name} is a public client: it has no secret"
                raise InvalidRequest(message)
            return _changed(client, secret_hash=_hash_of(secret))

        await self._update(name, change, "secret", by)
        return secret

    async def update(
        self,
        name: str,
        *,
        grace: int | None = None,
        checks_dpop: bool | None = None,
        by: By = APP,
    ) -> Client:
        """Change what is given, and return the client.

        `grace` (milliseconds) is for sessions that begin from now on. Raises NotFound,
        InvalidRequest.
        """
        given = {"grace": grace, "checks_dpop": checks_dpop}
        wanted = {name: value for name, value in given.items() if value is not None}
        if not wanted:  # no change, so no event
            return await self.get(name)

        def change(client: Client) -> Client:
            after = _changed(client, **wanted)
            check(after)
            return after

        return await self._update(name, change, " ".join(wanted), by)

    async def disable(self, name: str, *, by: By = APP) -> int:
        """Refuse the client from now on, end its sessions, and return how many.

        The client's own tokens work until they expire. Raises NotFound, and
        InvalidRequest for the built-in client.
        """
        await self._update(
            name, lambda row: _changed(row, disabled=True), "disabled", by
        )
        return await self._sessions.revoke(
            ByClient(name), EndReason.CLIENT_DISABLED, by=by
        )

    async def enable(self, name: str, *, by: By = APP) -> None:
        """Accept the client again. Its ended sessions stay ended.

        Raises NotFound, and InvalidRequest for the built-in client.
        """
        await self._update(
            name, lambda row: _changed(row, disabled=False), "enabled", by
        )

    async def _update(
        self, name: str, change: Callable[[Client], Client], what: str, by: By
    ) -> Client:
        """Apply `change` to the row as it is at the moment of the write.

        A row that another caller has changed meanwhile is read and changed again.
        Returns the new row. Raises NotFound, InvalidRequest, StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self.get(name)
            if name == FIRST_PARTY.id:
                message = f"{name} is built in and cannot be changed"
                raise InvalidRequest(message)
            event = Event(
                type=EventType.CLIENT_CHANGED,
                at=self._clock(),
                client_id=name,
                address=by.address,
                detail=by.detail(change=what),
            )
            after = change(before)
            if await self._store.swap(before, after, event):
                self._known.pop(name, None)
                return after
        raise StoreUnavailable

    def _new_secret(self) -> str:
        raw = self._entropy(limits.CLIENT_SECRET_BYTES)
        return SECRET_PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hash_of(secret: str) -> bytes:
    # A fast hash without salt is enough: 256 random bits cannot be guessed (ASVS
    # 6.5.2).
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _is(client: Client, shown: bytes | None) -> bool:
    """Whether that client is enabled, and has the secret of this hash (None: none)."""
    hashed = client.secret_hash
    same = hmac.compare_digest(shown or _NO_HASH, hashed or _NO_HASH)
    return same and (shown is None) == (hashed is None) and not client.disabled


def _reason(client: Client | None) -> str:
    if client is None:
        return "unknown"
    return "disabled" if client.disabled else "secret"


def _costs(client_id: str, address: str) -> tuple[Cost, Cost]:
    spelled = hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()
    rate = limits.THROTTLE_CLIENT_BURST, limits.THROTTLE_CLIENT_INTERVAL
    return (
        Cost(f"client:{spelled[:32]}", *rate),
        Cost(f"client-address:{caller_of(address)}", *rate),
    )


def _changed(client: Client, **fields: object) -> Client:
    return msgspec.structs.replace(client, version=client.version + 1, **fields)
