"""Several server processes on the same sockets, and the parent that looks after them.

The parent process holds the sockets and serves nothing itself. A worker that dies is
replaced. Connections that wait in a socket's queue go to the other workers meanwhile. A
worker stops by itself when its parent has died: no other process would stop it, and it
would keep the port.

This is not uvicorn's own supervisor. That one waits for ever for a worker that hangs,
does not handle signals while it replaces workers, leaves them behind when it is killed,
and gives up if a new worker cannot start because the store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self

from watchword.config import Settings
from watchword.metrics.pages import Pages

# Container runtimes kill after 10 s. A worker that has not finished by then would be
# killed in any case.
STOP_SECONDS: Final = 9
AGAIN_SECONDS: Final = 1
START_SECONDS: Final = 30
SERVING: Final = b"."
"""What a worker sends to its parent, once it serves."""

PLACE: Final = "_WATCHWORD_PAGE"
"""The variable of the environment that has the `Place` of a worker."""

# As the command does, see cli/serve.py.
_CHILD: Final = (
    "import gc; gc.disable(); "
    "from watchword.server.serve import work; gc.enable(); work()"
)
_log = logging.getLogger("watchword.server")


class Place(NamedTuple):
    """Where a worker counts: the file of the shared memory, and the page of it."""

    file: int
    slot: int

    @classmethod
    def given(cls) -> Self | None:
        """What the parent of this process has given to it; None where it has none.

        It is not an argument: while workers are replaced, parent and worker may be of
        different versions.
        """
        file, _, slot = os.environ.get(PLACE, "").partition(":")
        return cls(int(file), int(slot)) if slot else None


class Worker:
    """One server process, as its parent sees it.

    The worker's standard input is a socket to the parent. Over it the parent sends the
    settings and the worker sends SERVING. Each sees that the other is gone when the
    socket is closed.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.pid = process.pid
        self.serves: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()

    @classmethod
    async def start(
        cls, settings: Settings, listeners: Sequence[socket.socket], place: Place
    ) -> Self:
        """Launch a process that will serve on the parent's sockets.

        It counts on the page at `place`.
        """
        ours, theirs = socket.socketpair()
        files = [listener.fileno() for listener in listeners]
        with theirs, _no_interrupts():
            process = await asyncio.create_subprocess_exec(
                # -P: modules in the working directory are not imported.
                *(sys.executable, "-P", "-c", _CHILD, *map(str, files)),
                stdin=theirs.fileno(),
                pass_fds=[*files, place.file],
                env=os.environ | {PLACE: f"{place.file}:{place.slot}"},
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(pickle.dumps(settings))
        return cls(process, reader, writer)

    async def begun(self) -> bool:
        """Wait until it serves, or has ended without. Returns and sets `serves`."""
        said = b""
        with contextlib.suppress(OSError):
            said = await self._reader.read(len(SERVING))
        self.serves.set_result(said == SERVING)
        return said == SERVING

    async def ended(self) -> int:
        """Wait for the process to end. Returns its exit code, and sets `over`."""
        code = await self._process.wait()
        self._writer.close()
        self.over.set()
        return code

    async def stop(self) -> None:
        """Let the worker finish its requests; kill it if that takes too long."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self.over.wait()
            except TimeoutError:
                _log.warning("worker %d does not stop: killed", self.pid)
                self._process.kill()
        await self.over.wait()


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """A block in which SIGINT (Ctrl-C) is blocked. A process made here never gets it.

    A terminal sends the signal to parent and worker, and it would end a worker that has
    just begun. Only the parent is to act on it. The child inherits the mask; a signal
    that comes during the block reaches the parent afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers:
    """As many workers as the settings say, kept alive until a signal ends them.

    SIGTERM and SIGINT: all workers finish their requests and stop. SIGHUP: they are
    replaced one after the other, each once its successor serves.
    """

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._workers: list[Worker] = []
        self._tasks = asyncio.TaskGroup()
        # While a worker is replaced, there is one more. One that hangs as it is stopped
        # keeps its page until it is killed.
        slots = 2 * settings.workers + 2
        self._file, self._pages = Pages.make(slots)
        self._free = list(range(slots))
        self._stopping = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._launching = asyncio.Lock()
        self._have_served = False
        self._code = 0

    async def run(self) -> int:
        """Run until a signal says to stop. Returns the exit code.

        That is 1 if the first workers could not start.
        """
        loop = asyncio.get_running_loop()
        async with self._tasks:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopping.set)
            loop.add_signal_handler(
                signal.SIGHUP, lambda: self._tasks.create_task(self._renew())
            )
            for _ in range(self._settings.workers):
                if await self._start() is None:
                    self._give_up()
            await self._stopping.wait()
            await asyncio.gather(*(worker.stop() for worker in self._workers))
        return self._code

    async def _start(self) -> Worker | None:
        # That of a worker which has ended comes first: this one goes on from its
        # numbers.
        slot = heapq.heappop(self._free)
        try:
            # One launch at a time. If two tasks blocked the signal at once, the second
            # would save and restore the blocked mask of the first, and Ctrl-C would
            # never reach this process again.
            async with self._launching:
                worker = await Worker.start(
                    self._settings, self._listeners, Place(self._file, slot)
                )
        except OSError as error:  # too many processes or too little memory just now
            _log.warning("no new worker: %s", error.strerror)
            heapq.heappush(self._free, slot)
            return None
        self._workers.append(worker)
        self._tasks.create_task(self._look_after(worker, slot))
        # If stopping began meanwhile, this worker is not among those being stopped.
        if self._stopping.is_set():
            self._tasks.create_task(worker.stop())
        return worker

    async def _look_after(self, worker: Worker, slot: int) -> None:
        """Wait until the worker has ended, then start another if one is missing."""
        served = await worker.begun()
        self._have_served |= served
        code = await worker.ended()
        self._workers.remove(worker)
        self._pages.retire(slot)
        heapq.heappush(self._free, slot)
        enough = len(self._workers) >= self._settings.workers
        if enough or self._stopping.is_set():
            return
        if not self._have_served:
            self._give_up()
            return
        _log.warning("worker %d ended (%d): another takes its place", worker.pid, code)
        if not served:
            await self._pause()
        while not self._stopping.is_set() and await self._start() is None:
            await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), AGAIN_SECONDS)

    def _give_up(self) -> None:
        self._code = 1
        self._stopping.set()

    async def _renew(self) -> None:
        async with self._renewing:
            for old in tuple(self._workers):
                new = await self._start()
                if new is None or not await _serves_soon(new):
                    _log.warning("no new worker serves: the old ones go on")
                    return
                await old.stop()
            _log.info("all workers are new")


async def _serves_soon(worker: Worker) -> bool:
    """Whether the worker serves within START_SECONDS. If it hangs, it is stopped."""
    try:
        async with asyncio.timeout(START_SECONDS):
            return await asyncio.shield(worker.serves)
    except TimeoutError:
        await worker.stop()
        return False
