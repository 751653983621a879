"""`SyncVerifier`: a `Verifier` for programs without an event loop (Flask, Django).

It runs a `Verifier` in a thread of its own. Nearly every token can be judged without
asking the issuer; such a token is judged in the caller's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar, Unpack

import httpx2

from watchword.core.access_token import Claims
from watchword.tokens.checker import Needs
from watchword.verify.forking import reset_in_forked_children
from watchword.verify.keyset import NotYet, UnknownKey
from watchword.verify.options import VerifierOptions
from watchword.verify.verifier import Health, Verifier

Given = ParamSpec("Given")
Result = TypeVar("Result")


class _Running:
    """A `Verifier` and its thread. It is ready once it was entered in that thread."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self.is_ready = False
        self._over = asyncio.Event()
        self._entered: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()),
            name="watchword-verifier",
            daemon=True,
        )
        self._thread.start()

    async def _serve(self) -> None:
        try:
            async with self.verifier:
                self.is_ready = True
                self._entered.set_result(asyncio.get_running_loop())
                await self._over.wait()
        except BaseException as error:
            if self._entered.done():
                raise
            self._entered.set_exception(error)  # raised by every waiting call

    def wait(self) -> None:
        """Wait until the verifier was entered. Raises what entering it raised."""
        if not self._is_here():
            self._entered.result()

    def call(
        self,
        work: Callable[Given, Coroutine[Any, Any, Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """Run `work` in the verifier's thread and return its result.

        Raises RuntimeError where the caller is in that thread: it would wait for ever.
        """
        if self._is_here():
            raise RuntimeError("the thread of a verifier must not wait for itself")
        loop, coroutine = self._entered.result(), work(*args, **kwargs)
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def stop(self) -> None:
        # If entering the verifier failed, its thread has already ended.
        with contextlib.suppress(Exception):
            self._entered.result().call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _is_here(self) -> bool:
        return threading.current_thread() is self._thread


class SyncVerifier:
    """A `Verifier` without `await`. Use it in a `with`, or `close` it at the end.

    It may be made before a server forks its workers: its thread starts with the first
    use, in the process that uses it. It is safe to use from several threads. `http`
    must not be used for anything else. The other arguments are those of `Verifier`.
    """

    def __init__(
        self,
        issuer: str,
        audience: str = "api",
        *,
        http: httpx2.AsyncClient | None = None,
        **options: Unpack[VerifierOptions],
    ) -> None:
        self._make = partial(Verifier, issuer, audience, http=http, **options)
        self._make()  # raises now where the arguments are wrong
        self._lock = threading.Lock()
        self._now_running: _Running | None = None
        reset_in_forked_children(self)

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
            return running.call(running.verifier.verify, token)

    def verify_bound(
        self, token: str, proof: str | None, *, method: str, url: str
    ) -> Claims:
        """See `Verifier.verify_bound`."""
        running = self._running()
        bound = running.verifier.verify_bound
        return running.call(bound, token, proof, method=method, url=url)

    def require(self, claims: Claims, **needs: Unpack[Needs]) -> None:
        """See `Verifier.require`."""
        self._running().verifier.require(claims, **needs)

    def health(self) -> Health:
        """See `Verifier.health`."""
        return self._running().verifier.health()

    def close(self) -> None:
        """Stop the thread. A later use starts it again."""
        with self._lock:
            running, self._now_running = self._now_running, None
        if running is not None:
            running.stop()

    def reset_after_fork(self) -> None:
        """Start afresh in a forked child process; see `forking`."""
        # In a child only the thread that forked goes on. The verifier's thread is gone,
        # and a lock that another thread held would never be released.
        self._lock = threading.Lock()
        self._now_running = None

    def _running(self) -> _Running:
        running = self._now_running
        if running is not None and running.is_ready:
            return running
        # The wait is outside the lock. Entering the verifier writes to the log, and a
        # log handler may call this verifier, even from the verifier's own thread.
        with self._lock:
            running = self._now_running = self._now_running or _Running(self._make())
        try:
            running.wait()
        except BaseException:
            with self._lock:
                if self._now_running is running:
                    self._now_running = None  # the next call starts anew
            raise
        return running
