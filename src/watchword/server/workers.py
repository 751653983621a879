"""Several server processes on the same sockets, and the parent that looks after them.

The parent holds the sockets and serves nothing itself. A worker that dies is replaced;
what waits in the socket's queue goes to the others meanwhile. A worker whose parent has
died stops by itself: nobody else would stop it, and it would keep the port.

Not uvicorn's own supervisor: that waits for ever for a worker that hangs, hears no
signal while it replaces workers, leaves them behind when it is killed, and gives up
where a new one cannot start because the store is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Final, Self

from watchword.config import Settings

# Container runtimes kill after 10 s: a worker that has not finished by then is lost.
STOP_SECONDS: Final = 9
AGAIN_SECONDS: Final = 1
START_SECONDS: Final = 30
SERVING: Final = b"."
"""What a worker says to its parent, once."""

_CHILD: Final = "from watchword.server.serve import work; work()"
_log = logging.getLogger("watchword.server")


class Worker:
    """One server process, as its parent has it.

    Its standard input is a socket to the parent: the settings come that way, word that
    it serves goes back, and each sees by its end that the other is gone.
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
        cls, settings: Settings, listeners: Sequence[socket.socket]
    ) -> Self:
        """Launch a process that is going to serve on the parent's sockets."""
        near, far = socket.socketpair()
        files = [listener.fileno() for listener in listeners]
        with far, _no_interrupts():
            process = await asyncio.create_subprocess_exec(
                # -P: what lies in the working directory is not for import.
                *(sys.executable, "-P", "-c", _CHILD, *map(str, files)),
                stdin=far.fileno(),
                pass_fds=files,
            )
        reader, writer = await asyncio.open_connection(sock=near)
        writer.write(pickle.dumps(settings))
        return cls(process, reader, writer)

    async def watch(self) -> int:
        """Its exit code, once it is over. `serves` is told on the way."""
        said = b""
        with contextlib.suppress(OSError):
            said = await self._reader.read(len(SERVING))
        self.serves.set_result(said == SERVING)
        code = await self._process.wait()
        self._writer.close()
        self.over.set()
        return code

    async def stop(self) -> None:
        """Let it finish what is in flight; kill it where that takes too long."""
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
    """A process that is made here never hears Ctrl-C: it is its parent's to act on.

    A terminal sends it to both, and it would end a worker that has just begun. The mask
    is inherited; what comes meanwhile reaches the parent afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers:
    """As many as the settings say, kept alive until a signal ends them.

    SIGTERM and SIGINT: all finish what is in flight, and stop. SIGHUP: they are
    replaced one after the other, each by one that serves already.
    """

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._workers: list[Worker] = []
        self._tasks = asyncio.TaskGroup()
        self._stopping = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._launching = asyncio.Lock()
        self._have_served = False
        self._code = 0

    async def run(self) -> int:
        """Until told to stop; the exit code: 1 where the first could not start."""
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
        try:
            # One at a time: a mask of signals that two tasks hold at once would be put
            # back as the other one had it, and Ctrl-C never reach this process again.
            async with self._launching:
                worker = await Worker.start(self._settings, self._listeners)
        except OSError as error:  # too many processes, or too little memory, for now
            _log.warning("no new worker: %s", error.strerror)
            return None
        self._workers.append(worker)
        self._tasks.create_task(self._look_after(worker))
        if self._stopping.is_set():  # meanwhile: it is not among those being stopped
            self._tasks.create_task(worker.stop())
        return worker

    async def _look_after(self, worker: Worker) -> None:
        """Until it is over, and another has taken its place, if one has to."""
        code = await worker.watch()
        self._workers.remove(worker)
        served = worker.serves.result()
        self._have_served |= served
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
    """Whether it serves. One that hangs at its start is not waited for any longer."""
    try:
        async with asyncio.timeout(START_SECONDS):
            return await asyncio.shield(worker.serves)
    except TimeoutError:
        await worker.stop()
        return False
