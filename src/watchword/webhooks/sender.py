"""Feeds webhooks from the audit log, and sends what waits."""

from __future__ import annotations

from watchword.clocks import Clock, Entropy
from watchword.keys.sealing import Sealing
from watchword.metrics import Metrics
from watchword.ports.audit import AuditLog
from watchword.ports.webhooks import DeliveryStore, WebhookStore


class WebhookSender:
    """The sender of one process: each webhook has a task of its own there."""

    def __init__(
        self,
        *,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        audit: AuditLog,
        sealing: Sealing,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._audit = audit
        self._sealing = sealing
        self._clock = clock
        self._entropy = entropy
        self._metrics = metrics

    async def send_due(self) -> None:
        """Hand over new events and begin to send what is due. Every WEBHOOK_POLL."""

    async def close(self) -> None:
        """Wait a moment for what is being sent, then leave it to a later lease."""
