"""What the engine asks of the world, in prose that a store MUST keep.

Common to every verb: what it changes is durable before it returns; it happens whole or
not at all; the events and messages that come with a change are written in the same
step; a fault of the store raises StoreUnavailable, and then either nothing happened or
the caller cannot know (the answer to a commit was lost), so every verb can be asked
again.

One file a port. `watchword.testing.store_contract` is these pages as a test suite.
"""

from __future__ import annotations

import msgspec

from watchword.ports.accounts import AccountStore
from watchword.ports.audit import AuditLog
from watchword.ports.backend import Backend
from watchword.ports.clients import ClientStore
from watchword.ports.confirmations import ConfirmationStore
from watchword.ports.consents import ConsentStore
from watchword.ports.credentials import CredentialStore
from watchword.ports.keys import KeyStore
from watchword.ports.once import ReplayCache
from watchword.ports.outbox import Outbox
from watchword.ports.registrations import RegistrationStore
from watchword.ports.sessions import SessionStore
from watchword.ports.stats import StatsStore
from watchword.ports.throttle import Throttle
from watchword.ports.webhooks import DeliveryStore, WebhookStore


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """A store for everything, as `open_stores` returns it: one object a port.

    A part of the engine takes the ports that it uses, under these names. Events of
    every port are in the one audit log.
    """

    sessions: SessionStore
    accounts: AccountStore
    registrations: RegistrationStore
    confirmations: ConfirmationStore
    credentials: CredentialStore
    consents: ConsentStore
    clients: ClientStore
    keys: KeyStore
    throttle: Throttle
    once: ReplayCache
    outbox: Outbox
    audit: AuditLog
    stats: StatsStore
    webhooks: WebhookStore
    deliveries: DeliveryStore
    backend: Backend
