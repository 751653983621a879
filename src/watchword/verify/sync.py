"""`SyncVerifier`: the same for programs without an event loop (Flask, Django, scripts).

It runs the other one in a thread of its own. A token that can be judged without asking
anybody, and that is nearly every one, is judged in the caller's thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Self, TypeVar

import httpx2

from watchword.core.access_token import Claims
from watchword.verify.forking import begin_anew_in_children
from watchword.verify.keyset import NotYet, UnknownKey
from watchword.verify.verifier import CutOff, Health, Verifier

Result = TypeVar("Result")


class _Running(NamedTuple):
    verifier: Verifier
    loop: asyncio.AbstractEventLoop
    over: asyncio.Event
    thread: threading.Thread


class SyncVerifier:
    """As `Verifier`, without `await`: use as `with`, or simply, and `close` at the end.

    May be made before a server forks its workers: it starts in the process that uses
    it, with the first use. Safe to use from several threads. `http` must not be used
    elsewhere.
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        feed: tuple[str, str] | None = None,
        cut_off: CutOff = "closed",
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        def make() -> Verifier:
            return Verifier(issuer, audience, feed=feed, cut_off=cut_off, http=http)

        self._make = make
        self._make()  # what is wrong with the arguments is told here
        self._lock = threading.Lock()
        self._now_running: _Running | None = None
        begin_anew_in_children(self)

    def __enter__(self) -> Self:
        self._running()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def verify(self, token: str) -> Claims:
        """See `Verifier.verify`."""
        running = self._running()
        try:
            return running.verifier.checker.verify(token)
        except (NotYet, UnknownKey):
            return _wait_for(running, running.verifier.verify(token))

    def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """See `Verifier.verify_bound`."""
        running = self._running()
        asked = running.verifier.verify_bound(token, proof, method=method, url=url)
        return _wait_for(running, asked)

    def require(
        self,
        claims: Claims,
        *,
        scope: Sequence[str] = (),
        roles: Sequence[str] = (),
        max_age: int | None = None,
        acr_values: Sequence[str] = (),
    ) -> None:
        """See `Verifier.require`."""
        self._running().verifier.require(
            claims, scope=scope, roles=roles, max_age=max_age, acr_values=acr_values
        )

    def health(self) -> Health:
        """See `Verifier.health`."""
        return self._running().verifier.health()

    def close(self) -> None:
        """Stop its thread. It starts again where it is used again."""
        with self._lock:
            running, self._now_running = self._now_running, None
        if running is not None:
            running.loop.call_soon_threadsafe(running.over.set)
            running.thread.join()

    def begin_anew(self) -> None:
        """In a child process: see `forking`."""
        # A child has no thread but its own, and perhaps a lock that nobody opens.
        self._lock = threading.Lock()
        self._now_running = None

    def _running(self) -> _Running:
        running = self._now_running
        if running is not None:
            return running
        with self._lock:
            running = self._now_running
            if running is None:
                self._now_running = running = self._start()
            return running

    def _start(self) -> _Running:
        started: Future[tuple[Verifier, asyncio.AbstractEventLoop, asyncio.Event]]
        started = Future()

        async def run() -> None:
            over = asyncio.Event()
            async with self._make() as verifier:
                started.set_result((verifier, asyncio.get_running_loop(), over))
                await over.wait()

        def work() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)  # whoever waits for it has it

        thread = threading.Thread(target=work, name="watchword-verifier", daemon=True)
        thread.start()
        return _Running(*started.result(), thread)


def _wait_for(running: _Running, asked: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run_coroutine_threadsafe(asked, running.loop).result()
