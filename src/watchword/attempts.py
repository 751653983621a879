"""Sign-in attempts: counted before they are made, given back unless they failed.

They are counted first, so that parallel attempts cannot pass the limit. Only a wrong
name or password stays counted: not a success, not a fault of the server, and not a
request that was cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.core.throttle import Cost
from watchword.errors import InvalidCredentials, Throttled, TryAgain
from watchword.ports.audit import Event, EventType
from watchword.ports.throttle import Throttle


class Attempts:
    """Counts the attempts of one kind of sign-in, by the counters of the throttle."""

    def __init__(
        self, throttle: Throttle, events: AuditLimit, background: Background
    ) -> None:
        self._throttle = throttle
        self._events = events
        self._background = background

    @contextlib.asynccontextmanager
    async def counted(
        self, costs: Sequence[Cost], address: str, now: int
    ) -> AsyncIterator[None]:
        """A block that is one attempt. It has failed if it raises InvalidCredentials.

        A success sets the first counter, that of the name, back to zero. Raises
        Throttled, Overloaded, StoreUnavailable.
        """
        taking = asyncio.ensure_future(self._throttle.take(costs, now))
        try:
            # The store counts the attempt even if the request is cancelled now. Its
            # answer is needed to know what has to be undone.
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
            # The caller has its error already and does not wait: what failed may be the
            # store, and then giving back would take long too.
            self._give_back(costs, taking)
            raise
        # If the request is cancelled now, this goes on in the background: the attempt
        # is given back exactly once.
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
                return  # it may not have been counted: nothing is given back
            if not wait:
                await self._throttle.give_back(costs, forget=forget)

        return self._background.start(work, "giving back a sign-in attempt")
