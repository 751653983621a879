"""Webhooks: add, change, remove, list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, By
from watchword.core.session import as_text, time_ordered_id
from watchword.errors import (
    InvalidRequest,
    NotFound,
    StoreUnavailable,
    VersionChanged,
)
from watchword.keys.sealing import Sealing
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.webhooks import Delivery, DeliveryStore, Webhook, WebhookStore
from watchword.webhooks.destination import destination_of
from watchword.webhooks.signing import SigningKeys, drawn, open_keys, seal_keys
from watchword.webhooks.topics import GROUPS, TOPICS

SEALED_AS: Final = "webhook"
NO_WEBHOOK: Final = "There is no webhook of that id."


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
    """The webhooks that there are. `by` is the caller, for the audit log.

    A verb with a `version` refuses to change a webhook that has another one by now.
    """

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
        """A new webhook, for events from now on. Raises InvalidRequest.

        Without `topics` it hears of everything. `allow_private` lets it have http and
        addresses that are not public.
        """
        destination_of(url, allow_private=allow_private)
        wanted = checked_topics(topics)
        now = self._clock()
        keys = SigningKeys(drawn(self._entropy))
        webhook_id = time_ordered_id(now, self._entropy(10))
        webhook = Webhook(
            id=webhook_id,
            url=url,
            topics=wanted,
            sealed=seal_keys(keys, self._sealing, webhook_id),
            created_at=now,
            handed_over=await self._audit.last(),
            allow_private=allow_private,
        )
        event = self._event(EventType.WEBHOOK_CREATED, webhook_id, by)
        if not await self._webhooks.add(webhook, event, limits.WEBHOOKS_MAX):
            message = f"There are {limits.WEBHOOKS_MAX} webhooks already: remove one."
            raise InvalidRequest(message)
        return webhook, _shown(keys)

    async def list(self) -> Sequence[WebhookStatus]:
        """All of them, the oldest first."""
        return [await self._status(row) for row in await self._webhooks.all()]

    async def get(self, webhook_id: bytes) -> WebhookStatus:
        """Raises NotFound."""
        return await self._status(await self._row(webhook_id))

    async def rotate_secret(
        self, webhook_id: bytes, *, version: int | None = None, by: By = APP
    ) -> WebhookSecrets:
        """A new secret; both sign for a day. Raises NotFound, VersionChanged.

        A third one that still signed does so no more.
        """
        now = self._clock()

        def change(row: Webhook) -> Webhook:
            keys = open_keys(row.sealed, self._sealing, row.id)
            new = keys.rotated(self._entropy, now)
            return replace(row, sealed=seal_keys(new, self._sealing, row.id))

        after = await self._update(webhook_id, change, "secret", version, by)
        return _shown(open_keys(after.sealed, self._sealing, after.id))

    async def set_disabled(
        self,
        webhook_id: bytes,
        *,
        disabled: bool,
        version: int | None = None,
        by: By = APP,
    ) -> Webhook:
        """Stop or resume. What happened while it was disabled is not delivered.

        What waited before is. Raises NotFound, VersionChanged.
        """
        last = 0 if disabled else await self._audit.last()

        def change(row: Webhook) -> Webhook:
            if row.disabled == disabled:
                return row
            if disabled:
                return replace(row, disabled=True)
            # What failed before says nothing of now.
            return replace(row, disabled=False, handed_over=last, failing_since=None)

        what = "disabled" if disabled else "enabled"
        after = await self._update(webhook_id, change, what, version, by)
        if not disabled:
            await self._deliveries.hurry(webhook_id, self._clock())
        return after

    async def remove(
        self, webhook_id: bytes, *, version: int | None = None, by: By = APP
    ) -> None:
        """Delete it with its deliveries. Raises NotFound, VersionChanged."""
        event = self._event(EventType.WEBHOOK_DELETED, webhook_id, by)
        await self._swap(webhook_id, lambda _: None, version, event)

    async def deliveries(
        self, webhook_id: bytes, *, before: bytes | None = None, limit: int
    ) -> Sequence[Delivery]:
        """Its deliveries, newest first. Raises NotFound."""
        await self._row(webhook_id)
        return await self._deliveries.list(webhook_id, before=before, limit=limit)

    async def retry(self, webhook_id: bytes, *, by: By = APP) -> int:
        """Try all that wait for a later try now; how many. Raises NotFound."""
        await self._row(webhook_id)
        count = await self._deliveries.hurry(webhook_id, self._clock())
        if count:
            kind = EventType.WEBHOOK_CHANGED
            event = self._event(kind, webhook_id, by, change="retried")
            await self._audit.record(event)
        return count

    async def _row(self, webhook_id: bytes) -> Webhook:
        for row in await self._webhooks.all():
            if row.id == webhook_id:
                return row
        raise NotFound(NO_WEBHOOK)

    async def _status(self, row: Webhook) -> WebhookStatus:
        waiting, oldest = await self._deliveries.waiting(row.id)
        keys = open_keys(row.sealed, self._sealing, row.id)
        return WebhookStatus(row, waiting, oldest, keys.current.public_key())

    async def _update(
        self,
        webhook_id: bytes,
        change: Callable[[Webhook], Webhook],
        what: str,
        version: int | None,
        by: By,
    ) -> Webhook:
        event = self._event(EventType.WEBHOOK_CHANGED, webhook_id, by, change=what)
        after = await self._swap(webhook_id, change, version, event)
        if after is None:  # only `remove` leaves none
            raise NotFound(NO_WEBHOOK)
        return after

    async def _swap(
        self,
        webhook_id: bytes,
        change: Callable[[Webhook], Webhook | None],
        version: int | None,
        event: Event,
    ) -> Webhook | None:
        """Apply `change` to the row as it is at the moment of the write."""
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self._row(webhook_id)
            if version not in {None, before.version}:
                raise VersionChanged
            after = change(before)
            if after == before:
                return after
            if after is not None:
                after = replace(after, version=before.version + 1)
            if await self._webhooks.swap(before, after, event):
                return after
        raise StoreUnavailable

    def _event(self, kind: EventType, webhook_id: bytes, by: By, **more: str) -> Event:
        return Event(
            type=kind,
            at=self._clock(),
            address=by.address,
            detail=by.detail(webhook=as_text(webhook_id), **more),
        )


def checked_topics(topics: Iterable[str]) -> tuple[str, ...]:
    """The topics, each once and in order. Raises InvalidRequest for an unknown one."""
    wanted = tuple(sorted(set(topics)))
    for topic in wanted:
        if topic not in TOPICS and topic not in GROUPS:
            message = f"There is no topic {topic[:64]!r}. Groups: {' '.join(GROUPS)}."
            raise InvalidRequest(message)
    return wanted


def _shown(keys: SigningKeys) -> WebhookSecrets:
    return WebhookSecrets(keys.current.shown_secret(), keys.current.public_key())
