"""Webhooks, as operators see and change them: clients may only look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchword.admin.operators import Operator
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit
from watchword.core import limits
from watchword.core.session import as_text, from_text
from watchword.errors import NotFound
from watchword.ports.webhooks import Delivery, Webhook
from watchword.webhooks.registry import Webhooks, WebhookSecrets, WebhookStatus


class WebhookAdmin:
    """Lists webhooks and changes them, by their ids as UUIDs.

    Every write raises NotFound, VersionChanged (`version` is what the caller saw; None
    for whatever it is), InsufficientRole for a client, StoreUnavailable.
    """

    def __init__(self, *, webhooks: Webhooks, cursors: Cursors) -> None:
        self._webhooks = webhooks
        self._cursors = cursors

    async def list(self) -> Sequence[WebhookStatus]:
        """All of them, the oldest first."""
        return await self._webhooks.list()

    async def get(self, webhook_id: str) -> WebhookStatus:
        """Raises NotFound."""
        return await self._webhooks.get(_read(webhook_id))

    async def add(
        self, operator: Operator, url: str, topics: Iterable[str]
    ) -> tuple[Webhook, WebhookSecrets]:
        """A new webhook, and its secret: shown now alone. Raises InvalidRequest.

        Its host has public addresses: only the command line allows others.
        """
        operator.need_user()
        return await self._webhooks.add(url, topics=topics, by=operator.by)

    async def rotate_secret(
        self, operator: Operator, webhook_id: str, version: int | None
    ) -> WebhookSecrets:
        """A new secret, shown now alone. The old one signs beside it for a day."""
        operator.need_user()
        return await self._webhooks.rotate_secret(
            _read(webhook_id), version=version, by=operator.by
        )

    async def disable(
        self, operator: Operator, webhook_id: str, version: int | None
    ) -> None:
        """Deliver nothing to it. What happens meanwhile is not delivered later."""
        await self._set(operator, webhook_id, version, disabled=True)

    async def enable(
        self, operator: Operator, webhook_id: str, version: int | None
    ) -> None:
        """Deliver what happens from now on, and what waited before."""
        await self._set(operator, webhook_id, version, disabled=False)

    async def _set(
        self,
        operator: Operator,
        webhook_id: str,
        version: int | None,
        *,
        disabled: bool,
    ) -> None:
        operator.need_user()
        await self._webhooks.set_disabled(
            _read(webhook_id), disabled=disabled, version=version, by=operator.by
        )

    async def remove(
        self, operator: Operator, webhook_id: str, version: int | None
    ) -> None:
        """Delete it with its deliveries."""
        operator.need_user()
        await self._webhooks.remove(_read(webhook_id), version=version, by=operator.by)

    async def retry(self, operator: Operator, webhook_id: str) -> int:
        """Try all deliveries that wait again now; how many."""
        operator.need_user()
        return await self._webhooks.retry(_read(webhook_id), by=operator.by)

    async def deliveries(
        self,
        webhook_id: str,
        *,
        after: str | None = None,
        limit: int = limits.ADMIN_LIST,
    ) -> Page[Delivery]:
        """Its deliveries, newest first. Raises NotFound, InvalidRequest."""
        found = _read(webhook_id)
        asked = asked_for("deliveries", webhook=as_text(found))
        before = None
        if after is not None:
            before = from_text(self._cursors.text_in(asked, after))
        size = checked_limit(limit)
        rows = await self._webhooks.deliveries(found, before=before, limit=size + 1)
        return self._cursors.first_of(asked, rows, size, lambda row: as_text(row.id))


def _read(webhook_id: str) -> bytes:
    found = from_text(webhook_id)
    if found is None:
        raise NotFound
    return found
