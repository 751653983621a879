"""For frameworks without an event loop: one thread per process that runs one.

The engine, or the verifier, lives only in that thread. The thread starts with the first
request that needs it, and so after a server has forked its workers. If a process forks
later, the child does not touch what it has inherited, and starts a thread of its own.
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

from watchword.integrations.authenticator import Authenticator
from watchword.verify.forking import reset_in_forked_children

Given = ParamSpec("Given")
Result = TypeVar("Result")

_log: Final = logging.getLogger("watchword")
# How long to wait for the thread. By then all answers have been sent and commits under
# way have finished.
STOP_SECONDS: Final = 10
# What a forked child has inherited. It is kept until the child ends, because closing
# the copied connections would release locks on the database file that this process
# holds.
_ABANDONED: Final[list[object]] = []


class Portal:
    """Runs coroutines in the authenticator's thread, from any thread or event loop."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._lock = threading.Lock()
        self._running: _Running | None = None
        reset_in_forked_children(self)

    def call(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Run `work` and return its result. Blocks this thread. Raises as `work`."""
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
        """As `call`, from another event loop, which is not blocked."""
        await self.astart()
        return await asyncio.wrap_future(self._submit(work, *args, **kwargs))

    def _started(self) -> _Running:
        running = self._running
        if running is not None and running.loop is not None:
            return running
        if running is None:
            # The thread is made under the lock, but waited for without it. Opening runs
            # foreign code, such as handlers of the log, and that may call this method
            # in other threads.
            with self._lock:
                running = self._running = self._running or _Running(self._authenticator)
        try:
            running.wait()
        except BaseException as error:
            if running.has_failed() and self._forget(running):
                # The request is answered with a status only; the log tells the
                # operator the reason.
                _log.error("Watchword cannot start: %s", error)
            raise
        return running

    def _forget(self, running: _Running) -> bool:
        """Let the next call start again. Returns whether this caller is the first."""
        with self._lock:
            first = self._running is running
            if first:
                self._running = None
            return first

    def start(self) -> None:
        """Open the authenticator if it is not open. Raises what opening it raises."""
        self._started()

    async def astart(self) -> None:
        """As `start`, from another event loop, which is not blocked."""
        running = self._running
        if running is None or running.loop is None:
            await asyncio.to_thread(self.start)

    def close(self) -> None:
        """Finish what was accepted, and end the thread."""
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

    def reset_after_fork(self) -> None:
        """Called in a forked child: see `forking`."""
        self._lock = threading.Lock()
        if self._running is not None:
            _ABANDONED.extend((copy.copy(self._authenticator), self._running))
            self._running = None
            self._authenticator.reset_after_fork()


class _Running:
    """The thread in which the authenticator is open, or is being opened."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        # Set when the authenticator is open.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()),
            name="watchword",
            daemon=True,  # the end of the process does not wait for it
        )
        reset_in_forked_children(self)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the authenticator is open. Raises what opening it raised."""
        if not self.is_here():
            self._opened.result()

    def has_failed(self) -> bool:
        return self._opened.done() and self.loop is None

    def is_here(self) -> bool:
        """Whether the caller runs in this thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    async def _serve(self) -> None:
        try:
            async with self._authenticator.open():
                _stop_at_exit()
                _OPEN.add(self)
                self.loop = asyncio.get_running_loop()
                self._opened.set_result(None)
                await self._over.wait()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)  # raised in every call that waits
        finally:
            _OPEN.discard(self)

    def stop(self) -> None:
        with contextlib.suppress(Exception):  # if opening has failed, it is over
            self.wait()
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(STOP_SECONDS)

    def reset_after_fork(self) -> None:
        """Called in a forked child, which does not have the thread."""
        _OPEN.discard(self)


_OPEN: Final[set[_Running]] = set()


@functools.cache
def _stop_at_exit() -> None:
    # `atexit` would come too late: the engine's executors are shut down before it. A
    # hook cannot be removed, so there is one for all threads.
    threading._register_atexit(_stop_all)  # type: ignore[attr-defined]  # noqa: SLF001


def _stop_all() -> None:
    for running in list(_OPEN):
        running.stop()
