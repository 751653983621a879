"""Webhooks: add, change, remove, list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core.actor import APP, By
from watchword.keys.sealing import Sealing
from watchword.ports.audit import AuditLog
from watchword.ports.webhooks import Delivery, DeliveryStore, Webhook, WebhookStore

SEALED_AS: Final = "webhook"


class WebhookSecrets(msgspec.Struct, frozen=True):
    """What a receiver verifies by. `secret` is shown once; `public_key` at any time."""

    secret: str
    public_key: str


class WebhookStatus(msgspec.Struct, frozen=True):
    """A webhook, how many deliveries wait, since when (ms), and its public key."""

    webhook: Webhook
    waiting: int
    oldest: int | None
    public_key: str


class Webhooks:
    """The webhooks that there are. `by` is the caller, for the audit log."""

    def __init__(
        self,
        *,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        audit: AuditLog,
        sealing: Sealing,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._audit = audit
        self._sealing = sealing
        self._clock = clock
        self._entropy = entropy

    async def add(
        self,
        url: str,
        *,
        topics: Iterable[str] = (),
        allow_private: bool = False,
        by: By = APP,
    ) -> tuple[Webhook, WebhookSecrets]:
        """A new webhook, for events from now on. Raises InvalidRequest."""
        raise NotImplementedError

    async def list(self) -> Sequence[WebhookStatus]:
        """All of them, the oldest first."""
        raise NotImplementedError

    async def get(self, webhook_id: bytes) -> WebhookStatus:
        """Raises NotFound."""
        raise NotImplementedError

    async def rotate_secret(
        self, webhook_id: bytes, *, version: int | None = None, by: By = APP
    ) -> WebhookSecrets:
        """A new secret; both sign for a day. Raises NotFound, VersionChanged."""
        raise NotImplementedError

    async def set_disabled(
        self,
        webhook_id: bytes,
        *,
        disabled: bool,
        version: int | None = None,
        by: By = APP,
    ) -> Webhook:
        """Stop or resume. What happened while it was disabled is not delivered.

        Raises NotFound, VersionChanged.
        """
        raise NotImplementedError

    async def remove(
        self, webhook_id: bytes, *, version: int | None = None, by: By = APP
    ) -> None:
        """Delete it with its deliveries. Raises NotFound, VersionChanged."""
        raise NotImplementedError

    async def deliveries(
        self, webhook_id: bytes, *, before: bytes | None = None, limit: int
    ) -> Sequence[Delivery]:
        """Its deliveries, newest first. Raises NotFound."""
        raise NotImplementedError

    async def retry(self, webhook_id: bytes) -> int:
        """Try all that wait again now; how many. Raises NotFound."""
        raise NotImplementedError
