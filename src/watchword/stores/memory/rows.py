"""The rows of every port, and how events and messages of a write join them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from watchword.core.session import Ended, Session
from watchword.errors import SecondFactorInvalid
from watchword.ports.accounts import Account, Hold
from watchword.ports.audit import Event, Trail
from watchword.ports.clients import Client
from watchword.ports.confirmations import Confirmation
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential
from watchword.ports.keys import SealedKey
from watchword.ports.outbox import Lane, Message, Waiting, room_for
from watchword.ports.registrations import Registration
from watchword.ports.webhooks import Delivery, Webhook


class Memory:
    """The rows of every port."""

    def __init__(self, incarnation: bytes) -> None:
        self.incarnation = incarnation
        self.sessions: dict[bytes, Session] = {}
        self.feed: list[tuple[int, Ended]] = []
        self.fed = 0
        self.accounts: dict[bytes, Account] = {}
        self.held: dict[str, Hold] = {}
        self.registrations: dict[bytes, Registration] = {}
        self.confirmations: dict[bytes, Confirmation] = {}
        self.credentials: dict[bytes, Credential] = {}
        self.consents: dict[tuple[bytes, str], Consent] = {}
        self.outbox: dict[bytes, Message] = {}
        self.attempts: Counter[bytes] = Counter()
        self.leases: dict[bytes, int] = {}
        self.clients: dict[str, Client] = {}
        self.throttle: dict[str, int] = {}
        self.used: dict[bytes, int] = {}
        self.ring: tuple[int, list[SealedKey]] = (0, [])
        self.events: list[tuple[int, Event]] = []
        self.recorded = 0
        self.adopted: set[str] = set()
        self.stats: dict[tuple[int, str, str], int] = {}
        self.webhooks: dict[bytes, Webhook] = {}
        self.deliveries: dict[bytes, Delivery] = {}

    def deliveries_of(self, webhook_id: bytes) -> list[Delivery]:
        """The deliveries of a webhook, in order of id."""
        rows = sorted(self.deliveries.items())
        return [row for _, row in rows if row.webhook_id == webhook_id]

    def feed_with(self, session: Session) -> Ended:
        """Write the feed entry of a session that has ended, and return it."""
        entry = session.feed_entry()
        self.fed += 1
        self.feed.append((self.fed, entry))
        return entry

    def record(self, event: Event) -> None:
        """Write an audit event."""
        self.recorded += 1
        self.events.append((self.recorded, event))

    def leave(self, trail: Trail) -> None:
        """Write the events and messages that come with a change."""
        for event in trail.events:
            self.record(event)
        for message in trail.outbox:
            self.send(message)

    def send(self, message: Message) -> None:
        """Write a message, if there is room for it."""
        if message.lane is Lane.UNKNOWN:
            displaced = room_for(message.network, self._waiting())
            if displaced is None:
                return
            for message_id in displaced:
                self.outbox.pop(message_id, None)
        self.outbox[message.id] = message

    def _waiting(self) -> list[Waiting]:
        unknown = [one for one in self.outbox.values() if one.lane is Lane.UNKNOWN]
        newest = {
            one.network: one.id for one in sorted(unknown, key=lambda one: one.id)
        }
        counts = Counter(one.network for one in unknown)
        return [Waiting(name, counts[name], newest[name]) for name in newest]

    def registration_of(self, token_hash: bytes | None) -> Registration | None:
        """The registration of that token."""
        rows = {row.token_hash: row for row in self.registrations.values()}
        return None if token_hash is None else rows.get(token_hash)

    def of_account(self, account_id: bytes | None) -> list[Confirmation]:
        """The confirmations of an account, the oldest first."""
        rows = [
            row
            for row in self.confirmations.values()
            if row.account_id == account_id and account_id is not None
        ]
        return sorted(rows, key=lambda row: (row.created_at, row.token_hash))

    def credentials_of(self, account_id: bytes) -> list[Credential]:
        """The credentials of an account, the oldest first."""
        rows = [
            row for row in self.credentials.values() if row.account_id == account_id
        ]
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    def has_still(self, credential: Credential) -> bool:
        """Whether its row is there, and has the version that it had."""
        row = self.credentials.get(credential.id)
        return row is not None and row.version == credential.version

    def drop_credentials(self, rows: Iterable[Credential]) -> None:
        """Delete these rows."""
        for row in rows:
            self.credentials.pop(row.id, None)

    def spend(self, credential: Credential | None) -> None:
        """Delete a credential, if there is one to spend. Raises SecondFactorInvalid."""
        if credential is not None:
            if not self.has_still(credential):
                raise SecondFactorInvalid
            self.drop_credentials([credential])
