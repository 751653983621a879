"""For frameworks without an event loop: one thread per process that has one.

The engine, or the verifier, lives in that thread and nowhere else. It starts with the
first request that needs it, hence after a server has forked its workers; a process that
forks later leaves it behind untouched, and its child starts one of its own.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Final, ParamSpec, TypeVar

from watchword.errors import WatchwordError
from watchword.integrations.gate import Gate

Given = ParamSpec("Given")
Result = TypeVar("Result")

_log: Final = logging.getLogger("watchword")
# Answers have left by then; what is being committed finishes.
STOP_SECONDS: Final = 10
# Of a parent process, until this one ends: closing a copy of its connections would
# take away locks on the database file that this process holds.
_ABANDONED: Final[list[object]] = []


class Portal:
    """Calls from any thread, or any event loop, what has to run beside the gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._knows_the_end = False
        os.register_at_fork(after_in_child=self._forked)

    def call(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """What `work` returns or raises. Blocks this thread."""
        if self._started().is_here():
            message = "called within authenticate or a claims hook: await it there"
            raise RuntimeError(message)
        return self._submit(work, *args, **kwargs).result()

    async def wait(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """The same from another event loop, which it does not block."""
        await self.astart()
        return await asyncio.wrap_future(self._submit(work, *args, **kwargs))

    def _started(self) -> _Running:
        if (running := self._running) is not None:
            return running
        with self._lock:
            if not self._knows_the_end:
                # `atexit` comes too late: the executors of the engine are gone by then.
                threading._register_atexit(  # type: ignore[attr-defined]  # noqa: SLF001
                    self.close
                )
                self._knows_the_end = True
            if self._running is None:
                try:
                    self._running = _Running(self._gate)
                except WatchwordError as error:
                    # A request gets a status; who runs the app has to be told why.
                    _log.error("Watchword cannot start: %s", error)
                    raise
            return self._running

    def start(self) -> None:
        """Open the gate, if it is not open. Raises what opening it raises."""
        self._started()

    async def astart(self) -> None:
        """The same from another event loop, which it does not block."""
        if self._running is None:
            await asyncio.to_thread(self.start)

    def close(self) -> None:
        """Finish what was accepted and end the thread."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _submit(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Future[Result]:
        async def run() -> Result:
            return await work(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(run(), self._started().loop)

    def _forked(self) -> None:
        self._lock = threading.Lock()
        if self._running is not None:
            _ABANDONED.extend((copy.copy(self._gate), self._running))
            self._running = None


class _Running:
    """The thread, once the gate is open in it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)),
            name="watchword",
            daemon=True,  # a process that is killed shall not wait for it
        )
        self._thread.start()
        self.loop, self._over = started.result()

    async def _serve(
        self, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
    ) -> None:
        over = asyncio.Event()
        try:
            async with self._gate.open():
                started.set_result((asyncio.get_running_loop(), over))
                await over.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # whoever starts it has to hear of it

    def is_here(self) -> bool:
        """Whether the caller is in that thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(STOP_SECONDS)
