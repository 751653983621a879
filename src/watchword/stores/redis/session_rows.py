"""Sessions: one key each, changed only where it is still the one that was judged.

On one server a batch is one MGET and one script. On a Cluster there is one command for
each session, so that a slot that is moving to another master does not hold up the
others. All commands for one master are one exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeVar

from watchword.core.session import Session
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event
from watchword.ports.batches import PartialResult
from watchword.ports.sessions import Change, SessionExists
from watchword.stores.redis.keys import Keys, bucket_of
from watchword.stores.redis.rows import (
    entry_at_rest,
    event_at_rest,
    session_of,
    value_of,
    version_of,
)
from watchword.stores.redis.scripts import Request, script
from watchword.stores.redis.servers import Servers, is_unknown

Outcome = TypeVar("Outcome")

UNCONFIRMED_MAX: Final = 60.0
"""Seconds for which no caller is told of a revocation that could still be lost.

Less than FEED_LEEWAY, so that the revocation's entry in the feed also covers an access
token that was issued in these seconds.
"""

CONFIRM_TIMEOUT: Final = 2.0
"""Seconds that a `load` of one session waits until its revocation is safe."""


class SessionRows:
    """Implements `create`, `load` and `swap` of `SessionStore`.

    `waits` says whether a revocation waits until it is safe.
    """

    def __init__(self, servers: Servers, keys: Keys, *, waits: bool) -> None:
        self._servers = servers
        self._keys = keys
        self.waits: Final = waits
        # Sessions that this process tried to revoke without a certain answer, and when
        # that was. The revocation was written or not; if it was, it could be lost.
        self._unconfirmed: dict[bytes, float] = {}
        self._confirming: asyncio.Future[Any] | None = None

    async def create(self, session: Session, event: Event) -> None:
        """Write a new session. Raises SessionExists where another one has its id.

        A call with the very same session counts as a repetition of the first.
        """
        bucket, keys = bucket_of(session.id), self._keys
        # The account's list comes first: a call that ends all sessions of the account
        # must find this one. If the second step fails, an id without a session is left
        # in the list, which does no harm.
        account = keys.account(session.account_id)
        await self._servers.ask(keys.request("ZADD", account, 0, session.id))
        made = script("create").on(
            keys.slots[bucket],
            (keys.session(session.id), keys.index[bucket], keys.outbox[bucket]),
            (value_of(session), session.id, event_at_rest(event)),
            repeatable=True,
        )
        if await self._servers.ask(made) != [1]:
            raise SessionExists

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        # A session with a revocation that is not safe yet is not returned at all. A
        # caller that reads of it would tell its client, and the revocation could still
        # be lost. As it was before it would be wrong too: another process may have
        # acknowledged the end meanwhile. The others of a batch need not wait, but a
        # caller that asks for this one alone can, for example to end it again.
        skipped = self._find_unconfirmed(ids)
        if skipped and len(ids) == 1:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    await self.assure(ids)
            skipped = self._find_unconfirmed(ids)
        rows = await self._load_each(ids)
        skipped |= self._find_unconfirmed(ids)
        if skipped:
            rows = [
                StoreUnavailable() if one in skipped else row
                for one, row in zip(ids, rows, strict=True)
            ]
        return _all_or_partly(rows)

    async def load_all(self, ids: Sequence[bytes]) -> list[Session | None]:
        """The sessions as they are now. Raises StoreUnavailable if any read failed."""
        return _all(await self._load_each(ids))

    async def _load_each(
        self, ids: Sequence[bytes]
    ) -> list[Session | StoreUnavailable | None]:
        if not ids:
            return []
        names = [self._keys.session(identifier) for identifier in ids]
        slots = self._keys.slots
        if self._servers.spans_slots:
            reading = Request(slots[0], ("MGET", *names), repeatable=True)
            (values,) = await self._servers.ask(reading)
        else:
            values = await self._servers.ask_each(
                *(
                    Request(slots[bucket_of(one)], ("GET", name), repeatable=True)
                    for one, name in zip(ids, names, strict=True)
                )
            )
        return [
            session_of(identifier, value) if isinstance(value, bytes) else value
            for identifier, value in zip(ids, values, strict=True)
        ]

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        skipped = self._find_unconfirmed([change.before.id for change in changes])
        wanted = [change for change in changes if change.before.id not in skipped]
        swapped = iter(await self._swap_each(wanted))
        return _all_or_partly(
            [change.before.id not in skipped and next(swapped) for change in changes]
        )

    async def swap_all(self, changes: Sequence[Change]) -> list[bool]:
        """See `swap`; unconfirmed ones too. Raises StoreUnavailable if any failed."""
        return _all(await self._swap_each(changes))

    async def _swap_each(
        self, changes: Sequence[Change]
    ) -> list[bool | StoreUnavailable]:
        plain: list[int] = []
        ending: list[int] = []
        for place, change in enumerate(changes):
            (plain if change.after.revoked_at is None else ending).append(place)
        if self._servers.spans_slots:
            shares = [share for share in (plain, ending) if share]
        else:
            shares = [[place] for place in plain + ending]
        requests = [self._swapping([changes[p] for p in share]) for share in shares]
        swapped: list[bool | StoreUnavailable] = [False] * len(changes)
        try:
            answers = await self._servers.ask_each(*requests)
        except BaseException:  # cancelled
            self._note_unconfirmed(changes[place].before.id for place in ending)
            raise
        for share, done in zip(shares, answers, strict=True):
            if isinstance(done, StoreUnavailable):
                if is_unknown(done.__cause__):
                    ended = set(share).intersection(ending)
                    self._note_unconfirmed(changes[place].before.id for place in ended)
                for place in share:
                    swapped[place] = done
                continue
            for place, digit in zip(share, done, strict=True):
                swapped[place] = digit == ord("1")
        return swapped

    def _swapping(self, changes: Sequence[Change]) -> Request:
        """The script for changes of which all end their session, or none does."""
        keys = self._keys
        names = [keys.session(change.before.id) for change in changes]
        values: list[Any] = [len(changes)]
        noted: list[Any] = []
        for number, change in enumerate(changes, 1):
            values += (version_of(change.before), value_of(change.after))
            bucket = bucket_of(change.before.id)
            if change.after.revoked_at is not None:
                names.append(keys.feed[bucket])
                noted += (number, entry_at_rest(change.after.feed_entry()))
            if change.event is not None:
                names.append(keys.outbox[bucket])
                noted += (number, event_at_rest(change.event))
        bucket = bucket_of(changes[0].before.id)
        durable = changes[0].after.revoked_at is not None and self.waits
        if durable:
            names.append(keys.mark[bucket])
            noted += (0, b"")
        return script("swap").on(
            keys.slots[bucket], names, (*values, *noted), durable=durable
        )

    def _note_unconfirmed(self, ids: Iterable[bytes]) -> None:
        if self.waits:
            self._unconfirmed |= dict.fromkeys(ids, asyncio.get_running_loop().time())

    def _find_unconfirmed(self, ids: Iterable[bytes]) -> set[bytes]:
        """Those of the sessions that have an unconfirmed revocation.

        Also starts a task that confirms these revocations, where none is running.
        """
        if not self._unconfirmed:
            return set()
        since = asyncio.get_running_loop().time() - UNCONFIRMED_MAX
        self._unconfirmed = {
            one: at for one, at in self._unconfirmed.items() if at > since
        }
        found = self._unconfirmed.keys() & ids
        if found and (self._confirming is None or self._confirming.done()):
            confirming = (self.assure([one]) for one in self._unconfirmed)
            self._confirming = asyncio.gather(*confirming, return_exceptions=True)
        return found

    async def assure(self, ids: Collection[bytes]) -> None:
        """Wait until everything that was written to these sessions is safe.

        That holds for the master of this moment. Writes that only an earlier master had
        may be lost, so the caller must read the sessions after this call, not before.
        """
        if not self.waits or not ids:
            return
        keys = self._keys
        marks = [
            script("swap").on(
                keys.slots[bucket],
                [keys.mark[bucket]],
                (0, 0, b""),
                repeatable=True,
                durable=True,
            )
            for bucket in set(map(bucket_of, ids))
        ]
        await self._servers.ask(*marks)
        for one in ids:
            self._unconfirmed.pop(one, None)


def _all(outcomes: list[Outcome | StoreUnavailable]) -> list[Outcome]:
    """The outcomes. Raises the first StoreUnavailable among them."""
    had: list[Outcome] = []
    for one in outcomes:
        if isinstance(one, StoreUnavailable):
            raise one
        had.append(one)
    return had


def _all_or_partly(outcomes: list[Outcome | StoreUnavailable]) -> list[Outcome]:
    """The outcomes. Raises PartialResult where some failed, and others did not.

    Raises StoreUnavailable where all failed.
    """
    faults = sum(isinstance(one, StoreUnavailable) for one in outcomes)
    if 0 < faults < len(outcomes):
        raise PartialResult(outcomes)
    return _all(outcomes)
