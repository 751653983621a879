"""The secrets of clients: how they are made, and which client has shown its own.

An unknown client, a disabled one, no secret and a wrong secret get the same answer at
about the same cost.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

from watchword.audit import AuditLimit
from watchword.clients.rules import FIRST_PARTY, is_client_id
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.throttle import Cost
from watchword.errors import InvalidClient, Throttled
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.clients import Client, ClientStore
from watchword.ports.throttle import Throttle

SECRET_PREFIX: Final = "ww_cs_"  # noqa: S105 - what secret scanners look for

_NO_HASH: Final = bytes(32)
# A disabled client is refused everywhere within a second, as a revoked session is.
_FRESH: Final = limits.SECOND
_KEPT: Final = 10_000


class ClientAuthentication:
    """Authenticates clients, and limits what failures cost.

    `first_party` is the client that is built in.
    """

    def __init__(
        self,
        *,
        clients: ClientStore,
        throttle: Throttle,
        audit: AuditLog,
        first_party: Client,
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._throttle = throttle
        self._events = AuditLimit(audit.record)
        self._first_party = first_party
        self._clock = clock
        self._known: dict[str, tuple[Client, int]] = {}

    async def authenticate(
        self, client_id: str, secret: str | None, *, address: str = ""
    ) -> Client:
        """The client of that id, if the secret is its own, or if neither has one.

        Raises InvalidClient without saying why; Throttled, StoreUnavailable.
        """
        if client_id == self._first_party.id and secret is None:
            return self._first_party
        now = self._clock()
        shown = None if secret is None else hash_of(secret)
        client, read_at = self._known.get(client_id, (None, 0))
        if (
            client is not None
            and abs(now - read_at) < _FRESH
            and _matches(client, shown)
        ):
            return client
        # A cached client never refuses: its secret may have been replaced just now, so
        # the store is asked.
        client = await self._load(client_id, now)
        # An unknown id is compared too, with a client that no secret fits, so that it
        # takes as long as a known one.
        if _matches(client or FIRST_PARTY, shown) and client is not None:
            return client
        raise await self._failed(client_id, client, address, now)

    async def current(self, client_id: str) -> Client | None:
        """The client of that id as it was within the last second, disabled or not."""
        now = self._clock()
        client, read_at = self._known.get(client_id, (None, 0))
        if client is not None and abs(now - read_at) < _FRESH:
            return client
        return await self._load(client_id, now)

    def forget(self, client_id: str) -> None:
        """Read the client anew at its next authentication: it has been changed."""
        self._known.pop(client_id, None)

    async def _load(self, client_id: str, now: int) -> Client | None:
        self.forget(client_id)
        plausible = is_client_id(client_id)
        client = await self._clients.load(client_id) if plausible else None
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


def new_secret(entropy: Entropy) -> str:
    """A secret for a confidential client, to be shown once."""
    raw = entropy(limits.CLIENT_SECRET_BYTES)
    return SECRET_PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode()


def hash_of(secret: str) -> bytes:
    """The SHA-256 of a client's secret, as its row has it.

    A fast hash without salt is enough: 256 random bits cannot be guessed (ASVS 6.5.2).
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _matches(client: Client, shown: bytes | None) -> bool:
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
