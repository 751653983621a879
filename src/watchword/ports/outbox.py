"""Messages that wait to be sent: written with what they tell of, sent afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class MessageKind(StrEnum):
    """What a message is sent by: each kind has a sender of its own."""

    MAIL = "mail"


class Lane(StrEnum):
    """Which messages wait for which: those of strangers for those of accounts."""

    CONFIRMED = "confirmed"
    UNKNOWN = "unknown"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. Only its sender opens what is sealed.

    `id` has 16 bytes and is time-ordered. `not_before` is an instant in milliseconds. A
    message with an `account_id` is deleted with that account. `network` is the caller's
    that caused it.
    """

    id: bytes
    kind: MessageKind
    sealed: bytes
    not_before: int
    account_id: bytes | None
    lane: Lane
    network: str


class LeasedMessage(msgspec.Struct, frozen=True):
    """A message that one sender has for a while, and how often it was tried before."""

    message: Message
    attempts: int


class Outbox(Protocol):
    """Messages that wait, until they were sent or given up."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Write messages that belong to no other change.

        Of `Lane.UNKNOWN` a bounded number waits: further ones are left out.
        """

    async def lease(
        self, kind: MessageKind, now: int, until: int, limit: int
    ) -> list[LeasedMessage]:
        """Up to `limit` messages that are due, leased to this caller `until` then.

        A message that is leased MUST NOT be leased again before `until`. Confirmed ones
        come first. At most a third of `limit` are unknown ones, fair between networks.
        """

    async def done(self, ids: Sequence[bytes]) -> None:
        """Delete messages that were sent or given up."""

    async def postpone(self, message_id: bytes, not_before: int, attempts: int) -> None:
        """End the lease: the message is due again at `not_before`."""

    async def get(self, message_id: bytes) -> LeasedMessage | None:
        """The message of that id, leased or not."""

    async def list(self, *, after: bytes = b"", limit: int) -> list[LeasedMessage]:
        """Messages in order of id, following `after`."""

    async def count(self, lane: Lane) -> int:
        """How many messages wait in that lane."""
