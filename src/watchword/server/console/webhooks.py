"""Webhooks: the list, one of them with its deliveries, and the form for a new one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from watchword.ports.webhooks import Delivery, DeliveryState, Webhook
from watchword.server.console.screens import Screen, Secret
from watchword.webhooks.registry import WebhookStatus
from watchword.webhooks.topics import GROUPS


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook in the list. `id` is as addresses have it."""

    id: str
    status: WebhookStatus

    @property
    def webhook(self) -> Webhook:
        """The webhook itself."""
        return self.status.webhook


class Webhooks(Screen, frozen=True, kw_only=True):
    """The list: all that there are."""

    template = "webhooks.html"
    here = "webhooks"

    title: str = "Webhooks"
    rows: tuple[WebhookRow, ...]


class NewWebhook(Screen, frozen=True, kw_only=True):
    """The form for a new one. `values` are the texts of its fields, by name."""

    template = "webhook-new.html"
    here = "webhooks"

    title: str = "Add a webhook"
    values: Mapping[str, str] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of events that it can hear of."""
        return GROUPS


class WebhookScreen(Screen, frozen=True, kw_only=True):
    """One webhook, and its deliveries, newest first."""

    template = "webhook.html"
    here = "webhooks"

    row: WebhookRow
    deliveries: tuple[Delivery, ...]
    next: str | None
    is_later: bool

    def is_waiting(self, delivery: Delivery) -> bool:
        """Whether it is tried again."""
        return delivery.state is DeliveryState.WAITING

    def is_bad(self, delivery: Delivery) -> bool:
        """Whether the latest try came to nothing, and there was one."""
        return bool(delivery.attempts) and delivery.state is not DeliveryState.DELIVERED


class WebhookSecret(Secret, frozen=True, kw_only=True):
    """The secret of a webhook."""

    here = "webhooks"
