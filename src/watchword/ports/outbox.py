"""Messages that wait to be sent: written with what they tell of, sent afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.core.network import provided_to


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


class Waiting(msgspec.Struct, frozen=True):
    """How many unknown messages of a network wait, and the newest of them."""

    network: str
    count: int
    newest: bytes


def room_for(network: str, waiting: Sequence[Waiting]) -> Sequence[bytes] | None:
    """What is to be deleted so that another unknown message can wait; None: no room.

    Where all places are taken, the caller with the most messages gives one up, unless
    that is the caller that asks: all networks that one may have count together.
    """
    if sum(one.count for one in waiting) < limits.UNKNOWN_WAITING_MAX:
        return ()
    counts = _by_holder({one.network: one.count for one in waiting})

    def size(one: Waiting) -> tuple[int, int, bytes]:
        return counts[provided_to(one.network)], one.count, one.newest

    largest = max(waiting, key=size)
    own = counts[provided_to(network)]
    return None if size(largest)[0] <= own else (largest.newest,)


def next_ones(
    confirmed: Sequence[bytes],
    unknown: Iterable[tuple[bytes, str]],
    waiting: Mapping[str, int],
    limit: int,
) -> list[bytes]:
    """The ids to lease of those that are due; the unknown ones come with their network.

    One of each caller in turn, and of callers those with the fewest unknown messages
    first: `waiting` counts them by network, due or not. Both are given in order of id.
    """
    counts = _by_holder(waiting)
    seen: Counter[str] = Counter()
    order = []
    for message_id, network in unknown:
        holder = provided_to(network)
        order.append((seen[holder], counts[holder], message_id))
        seen[holder] += 1
    share = -(-limit // limits.MAIL_UNKNOWN_SHARE)
    fair = [message_id for *_, message_id in sorted(order)][:share]
    return [*confirmed, *fair][:limit]


def _by_holder(counts: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for network, count in counts.items():
        found[provided_to(network)] += count
    return found


class Outbox(Protocol):
    """Messages that wait, until they were sent or given up."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Write messages that belong to no other change.

        Of `Lane.UNKNOWN` about UNKNOWN_WAITING_MAX wait: `room_for` says which of them
        are left out.
        """

    async def lease(
        self, kind: MessageKind, now: int, until: int, limit: int
    ) -> list[LeasedMessage]:
        """Up to `limit` messages that are due, leased to this caller `until` then.

        A message that is leased MUST NOT be leased again before `until`. Confirmed ones
        come first. At most a third of `limit`, rounded up, are unknown ones, fair
        between networks: `next_ones` says which.
        """

    async def done(self, ids: Sequence[bytes]) -> None:
        """Delete messages that were sent or given up."""

    async def postpone(self, message_id: bytes, not_before: int, attempts: int) -> None:
        """End the lease: the message is due again at `not_before`."""

    async def list(self, *, after: bytes = b"", limit: int) -> list[LeasedMessage]:
        """Messages in order of id, following `after`, leased or not."""

    async def sealed_under(self) -> Mapping[bytes, int]:
        """How many messages each server secret has sealed, by its name in front."""

    async def reseal(self, sealed: Mapping[bytes, bytes]) -> None:
        """Write the sealed contents of messages anew, by id; gone ones stay gone."""
