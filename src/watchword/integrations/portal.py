"""For frameworks without an event loop: one thread per process that has one.

The engine, or the verifier, lives in that thread and nowhere else. It starts with the
first request that needs it, hence after a server has forked its workers; a process that
forks later leaves it behind untouched, and its child starts one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Final, ParamSpec, TypeVar

from watchword.integrations.gate import Gate
from watchword.verify.forking import begin_anew_in_children

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
        begin_anew_in_children(self)

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
        running = self._running
        if running is not None and running.loop is not None:
            return running
        if running is None:
            # Made under the lock and not waited for: opening runs code of others, the
            # handlers of the log for one, which may come here in threads of their own.
            with self._lock:
                running = self._running = self._running or _Running(self._gate)
        try:
            running.wait()
        except BaseException as error:
            if running.has_failed() and self._forget(running):
                # A request gets a status; the operator has to be told why.
                _log.error("Watchword cannot start: %s", error)
            raise
        return running

    def _forget(self, running: _Running) -> bool:
        """So that the next call starts anew; whether this caller is the first."""
        with self._lock:
            first = self._running is running
            if first:
                self._running = None
            return first

    def start(self) -> None:
        """Open the gate, if it is not open. Raises what opening it raises."""
        self._started()

    async def astart(self) -> None:
        """The same from another event loop, which it does not block."""
        running = self._running
        if running is None or running.loop is None:
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

        loop = self._started().loop
        if loop is None:
            raise RuntimeError("called while Watchword starts, from its own thread")
        return asyncio.run_coroutine_threadsafe(run(), loop)

    def begin_anew(self) -> None:
        """In a child process: see `forking`."""
        self._lock = threading.Lock()
        if self._running is not None:
            _ABANDONED.extend((copy.copy(self._gate), self._running))
            self._running = None
            self._gate.begin_anew()


class _Running:
    """The thread that the gate is open in; open since it began, or soon."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.loop: asyncio.AbstractEventLoop | None = None  # once it is open
        self._over = asyncio.Event()
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()),
            name="watchword",
            daemon=True,  # a process that is killed shall not wait for it
        )
        begin_anew_in_children(self)
        self._thread.start()

    def wait(self) -> None:
        """Until the gate is open. Raises what opening it raised."""
        if not self.is_here():
            self._opened.result()

    def has_failed(self) -> bool:
        return self._opened.done() and self.loop is None

    def is_here(self) -> bool:
        """Whether the caller is in that thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    async def _serve(self) -> None:
        try:
            async with self._gate.open():
                _stop_at_exit()
                _OPEN.add(self)
                self.loop = asyncio.get_running_loop()
                self._opened.set_result(None)
                await self._over.wait()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)  # for every call that waits for it
        finally:
            _OPEN.discard(self)

    def stop(self) -> None:
        with contextlib.suppress(Exception):  # of opening it: then it is over
            self.wait()
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(STOP_SECONDS)

    def begin_anew(self) -> None:
        """In a child process, which has not got the thread."""
        _OPEN.discard(self)


_OPEN: Final[set[_Running]] = set()


@functools.cache
def _stop_at_exit() -> None:
    # `atexit` comes too late: the executors of the engine are gone by then. One hook
    # for all that run, for it cannot be taken back.
    threading._register_atexit(_stop_all)  # type: ignore[attr-defined]  # noqa: SLF001


def _stop_all() -> None:
    for running in list(_OPEN):
        running.stop()
