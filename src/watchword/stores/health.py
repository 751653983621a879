"""Whether the store takes writes; for operators, the log says why it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from watchword.audit import OncePerMinute
from watchword.clocks import Clock
from watchword.core import limits
from watchword.errors import Overloaded, StoreUnavailable
from watchword.ports.backend import Backend
from watchword.ports.once import ReplayCache

_SHOWN: Final = 200  # characters of a cause that the log repeats
_log = logging.getLogger("watchword.store")


class Health:
    """The health of the store, as one process sees it. `name` names that process."""

    def __init__(
        self,
        *,
        backend: Backend,
        once: ReplayCache,
        clock: Clock,
        monotonic: Callable[[], int],
        name: bytes,
    ) -> None:
        self._backend = backend
        self._once = once
        self._clock = clock
        self._monotonic = monotonic
        self._name = name
        self._once_per_minute = OncePerMinute()
        self._lock = asyncio.Lock()
        self._tried_at: int | None = None
        self._fault: StoreUnavailable | None = None

    async def check(self) -> None:
        """Raises StoreUnavailable unless a read works now and a write worked recently.

        A store with a full disk, or one that has become read-only, still answers reads,
        so a write is tried too. Any caller may ask this without signing in: therefore
        at most one small row is written per WRITE_TRIED milliseconds.
        """
        await self._backend.check()
        async with self._lock:
            here = self._monotonic()
            if self._tried_at is None or here - self._tried_at >= limits.WRITE_TRIED:
                self._tried_at = here
                self._fault = await self._try_a_write()
            if self._fault is not None:
                # Without the old traceback, which would grow with each caller.
                raise self._fault.with_traceback(None)

    async def _try_a_write(self) -> StoreUnavailable | None:
        now = self._clock()
        try:
            key = b"ready %b %d" % (self._name, now)
            await self._once.use_once([(key, now + limits.MINUTE)])
        except Overloaded:
            return None  # it is busy with writes, and so it takes them
        except StoreUnavailable as fault:
            return fault
        return None

    def log_fault(self, fault: StoreUnavailable) -> None:
        """Log why a caller was answered with 503, once a minute for each kind of cause.

        Logs the first line of what the store's library said, and not the details, which
        may repeat a row.
        """
        cause: BaseException = fault
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if cause is fault:
            return
        kind = type(cause).__name__
        if self._once_per_minute.is_due(self._monotonic(), kind):
            line = (str(cause).splitlines() or [""])[0]
            _log.warning("the store does not answer: %s: %s", kind, line[:_SHOWN])
