"""Messages that wait to be sent, in a table of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watchword.core.limits import SECRET_NAME_BYTES, UNKNOWN_WAITING_MAX
from watchword.ports.audit import Trail
from watchword.ports.outbox import (
    Lane,
    LeasedMessage,
    Message,
    MessageKind,
    Waiting,
    next_ones,
    room_for,
)
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.rows import as_row, event_row


class SqlOutbox:
    """Implements `Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, messages: Sequence[Message]) -> None:
        await self._database.write_plan(lambda: send(messages))

    async def lease(
        self, kind: MessageKind, now: int, until: int, limit: int
    ) -> list[LeasedMessage]:
        # Read beside the writers, and then taken one by one on a condition: a sender
        # with nothing to do asks often, and costs no transaction.
        query = self._database.query
        due = await query("due_messages", kind, now, limit + UNKNOWN_WAITING_MAX)
        confirmed = [one for one, lane, _ in due if lane == Lane.CONFIRMED]
        unknown = [(one, network) for one, lane, network in due if lane == Lane.UNKNOWN]
        rows = await query("waiting_messages", Lane.UNKNOWN) if unknown else []
        waiting = Counter({network: count for network, count, _ in rows})
        chosen = next_ones(confirmed, unknown, waiting, limit)
        # In order of id: two senders that wait for each other's rows deadlock.
        taken = [(until, one, now) for one in sorted(chosen)]
        rows = await self._database.write_many("lease_message", taken)
        leased = {row[0]: _message_of(row) for row in rows}
        return [leased[one] for one in chosen if one in leased]

    async def done(self, ids: Sequence[bytes]) -> None:
        await self._database.write_many("drop_message", [(one,) for one in sorted(ids)])

    async def postpone(self, message_id: bytes, not_before: int, attempts: int) -> None:
        later = (not_before, attempts, message_id)
        await self._database.write_many("postpone_message", [later])

    async def list(self, *, after: bytes = b"", limit: int) -> list[LeasedMessage]:
        rows = await self._database.query("list_messages", after, limit)
        return [_message_of(row) for row in rows]

    async def sealed_under(self) -> Mapping[bytes, int]:
        return dict(await self._database.query("secrets_of_outbox", SECRET_NAME_BYTES))

    async def reseal(self, sealed: Mapping[bytes, bytes]) -> None:
        rows = [(contents, one) for one, contents in sorted(sealed.items())]
        await self._database.write_many("reseal_message", rows)


def send(messages: Sequence[Message]) -> Plan[None]:
    """Write these messages, as far as there is room for them."""
    for message in messages:
        if message.lane is Lane.UNKNOWN:
            rows = yield "waiting_messages", [(Lane.UNKNOWN,)]
            displaced = room_for(message.network, [Waiting(*row) for row in rows])
            if displaced is None:
                continue
            yield "drop_message", [(one,) for one in displaced]
        yield "add_message", [as_row(message)]


def leave(trail: Trail) -> Plan[None]:
    """Write the events and messages that come with a change."""
    yield "record", [event_row(event) for event in trail.events]
    yield from send(trail.outbox)


def _message_of(row: Iterable[Any]) -> LeasedMessage:
    """The message in a row of all columns."""
    message_id, kind, sealed, not_before, account_id, lane, network, attempts = row
    message = Message(
        id=message_id,
        kind=MessageKind(kind),
        sealed=sealed,
        not_before=not_before,
        account_id=account_id,
        lane=Lane(lane),
        network=network,
    )
    return LeasedMessage(message, attempts)
