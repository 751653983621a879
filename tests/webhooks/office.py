"""Webhooks on a store in memory, and programs that hear of events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from watchword.core.limits import WEBHOOK_LEASE
from watchword.core.session import as_text
from watchword.keys.sealing import Sealing
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.webhooks import Webhook
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.webhooks import verify
from watchword.webhooks.registry import SEALED_AS, Webhooks, WebhookSecrets
from watchword.webhooks.sender import WebhookSender
from watchword.webhooks.transport import Answer

OK = Answer(204, "")
AWAY = Answer(None, "nothing listens there")
BUSY = Answer(503, "busy")


class Post(msgspec.Struct, frozen=True):
    """A delivery as it came, and the instant (ms) at which it did."""

    at: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    answer: Answer

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def read(self, secret: str) -> Any:
        """Its JSON. Raises WebhookInvalid."""
        return verify(self.body, self.headers, secret, now=self.at / 1000)


class Programs:
    """What receives. `answers` are by URL or by `webhook-id`, else OK; None hangs.

    An exception is raised, as by a library that has a fault.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.came: list[Post] = []
        self.answers: dict[str, Answer | Exception | None] = {}
        self.private: set[str] = set()
        self.end = asyncio.Event()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool
    ) -> Answer:
        answer = self.answers.get(headers["webhook-id"], self.answers.get(url, OK))
        if isinstance(answer, Exception):
            raise answer
        if allow_private:
            self.private.add(url)
        self.came.append(Post(self.clock(), url, headers, body, answer or AWAY))
        if answer is None:
            await self.end.wait()
        return answer or AWAY

    def taken(self, url: str) -> list[str]:
        """The ids of the deliveries that this program has taken."""
        return [one.id for one in self.came if (one.url, one.answer) == (url, OK)]


class Office:
    """Engine and store, with a sender for each process that there is."""

    def __init__(
        self, stores: Stores, seed: str = "", programs: Programs | None = None
    ) -> None:
        self.clock, self.entropy = ManualClock(), SeededEntropy(seed)
        self.stores, self.programs = stores, programs or Programs(self.clock)
        self.sealing = Sealing([b"a-server-secret-0123456789"], SEALED_AS, self.entropy)
        self.webhooks = Webhooks(
            webhooks=stores.webhooks,
            deliveries=stores.deliveries,
            audit=stores.audit,
            sealing=self.sealing,
            clock=self.clock,
            entropy=self.entropy,
        )
        self._senders: list[WebhookSender] = []
        self.sender = self.another()

    @classmethod
    async def opened(cls) -> Office:
        return cls(await open_stores("memory:", SeededEntropy("store")))

    def another(self) -> WebhookSender:
        """The sender of another process."""
        sender = WebhookSender(
            webhooks=self.stores.webhooks,
            deliveries=self.stores.deliveries,
            audit=self.stores.audit,
            sealing=self.sealing,
            clock=self.clock,
            entropy=self.entropy,
            transport=self.programs,
        )
        self._senders.append(sender)
        return sender

    async def close(self) -> None:
        self.programs.end.set()
        await asyncio.gather(*(one.close() for one in self._senders))

    async def add(self, url: str, *topics: str) -> tuple[Webhook, WebhookSecrets]:
        return await self.webhooks.add(url, topics=topics)

    async def happens(
        self, kind: EventType = EventType.SESSION_REVOKED, number: int = 1
    ) -> None:
        for _ in range(number):
            event = Event(
                type=kind,
                at=self.clock(),
                account_id=self.entropy(16),
                session_id=self.entropy(16),
                client_id="shop",
                address="198.51.100.7",
                detail={"name": "ana@example.org", "active": "kid-1"},
            )
            await self.stores.audit.record(event)

    async def turn(self, sender: WebhookSender | None = None) -> None:
        """One turn of a sender, until all that did not hang has an answer."""
        sender = sender or self.sender
        await sender.send_due()
        for _ in range(200):  # nothing here waits for anything but the loop
            await asyncio.sleep(0)

    async def passes(self, time: int, *, every: int = WEBHOOK_LEASE) -> None:
        """That time passes, in ms, with a turn of the sender now and then."""
        end = self.clock() + time
        while self.clock() < end:
            self.clock.advance(min(every, end - self.clock()))
            await self.turn()

    async def told(self) -> list[tuple[str, Any, Any]]:
        """The events about webhooks: type, webhook, and what changed."""
        events = [one for _, one in await self.stores.audit.read(0, 10_000)]
        return [
            (one.type.value, one.detail["webhook"], one.detail.get("change"))
            for one in events
            if one.type.value.startswith("webhook_")
        ]

    async def row(self, webhook: Webhook) -> Webhook:
        return (await self.webhooks.get(webhook.id)).webhook


def name_of(webhook: Webhook) -> str:
    return as_text(webhook.id)
