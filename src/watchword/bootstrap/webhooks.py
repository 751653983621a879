"""The parts of webhooks, wired."""

from __future__ import annotations

from watchword.bootstrap.foundation import Foundation
from watchword.keys.sealing import Sealing
from watchword.webhooks.registry import Webhooks
from watchword.webhooks.sender import WebhookSender


def webhooks_of(base: Foundation, sealing: Sealing) -> Webhooks:
    """What adds, changes and lists webhooks."""
    return Webhooks(
        webhooks=base.stores.webhooks,
        deliveries=base.stores.deliveries,
        audit=base.stores.audit,
        sealing=sealing,
        clock=base.clock,
        entropy=base.entropy,
    )


def webhook_sender_of(base: Foundation, sealing: Sealing) -> WebhookSender:
    """What delivers to them."""
    return WebhookSender(
        webhooks=base.stores.webhooks,
        deliveries=base.stores.deliveries,
        audit=base.stores.audit,
        sealing=sealing,
        clock=base.clock,
        entropy=base.entropy,
    )
