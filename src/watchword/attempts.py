"""Sign-in attempts: counted before they are made, given back unless they failed.

Counted first, so that parallel attempts cannot slip past. What stays counted is a wrong
name or password and nothing else: not a success, not a fault of ours, and not a request
that was cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from watchword.background import Background
from watchword.core.throttle import Cost
from watchword.errors import InvalidCredentials, Throttled, TryAgain
from watchword.failures import EventLimit
from watchword.ports import Event, EventType, Throttle


class Attempts:
    """The throttle around one kind of sign-in."""

    def __init__(
        self, throttle: Throttle, events: EventLimit, background: Background
    ) -> None:
        self._throttle = throttle
        self._events = events
        self._background = background

    @contextlib.asynccontextmanager
    async def counted(
        self, costs: Sequence[Cost], address: str, now: int
    ) -> AsyncIterator[None]:
        """One attempt, which fails where the body raises InvalidCredentials.

        A success starts the first counter, that of the name, anew. Raises Throttled,
        Overloaded, StoreUnavailable.
        """
        taking = asyncio.ensure_future(self._throttle.take(costs, now))
        try:
            # Cancelled or not, the store counts it: only then is it known what to undo.
            wait = await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._give_back(costs, taking)
            raise
        if wait:
            kind = EventType.SIGN_IN_THROTTLED
            event = Event(type=kind, at=now, address=address)
            await self._events.record(event, *(cost.key for cost in costs))
            raise Throttled(retry_after=wait // 1000 + 1)
        try:
            yield
        except InvalidCredentials:
            raise
        except BaseException:
            # The caller need not wait for a store that may be away as well.
            self._give_back(costs, taking)
            raise
        # Whole, even if the request is cancelled now: given back once, and not twice.
        await self._give_back(costs, taking, forget=costs[0].key)

    def _give_back(
        self,
        costs: Sequence[Cost],
        taking: asyncio.Future[int],
        *,
        forget: str | None = None,
    ) -> asyncio.Future[None]:
        async def work() -> None:
            try:
                wait = await taking
            except TryAgain:
                return  # perhaps it was counted, perhaps not: then it stays
            if not wait:
                await self._throttle.give_back(costs, forget=forget)

        return self._background.start(work, "giving back a sign-in attempt")
