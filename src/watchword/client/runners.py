"""Runs the steps of an exchange: one runner blocks, the other awaits.

All decisions are in the generators (`session.py`, `refresher.py`). A runner only does
what a step says and sends its result back in. If it is interrupted, by a cancelled task
or Ctrl-C, what earlier steps stored remains, and the generator's `finally` releases
what it holds.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Generator
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import httpx2

from watchword.client.answers import Answer, Outcome
from watchword.client.session import Request, Send, Wait
from watchword.errors import SettingsError, Unreachable, WatchwordError
from watchword.reasons import tls_reason

Result = TypeVar("Result")

# Seconds. The answer to a refresh is small, and while one task waits for it all others
# that need a token wait too.
TIMEOUT: Final = httpx2.Timeout(10)
_CERTIFICATE_WAIT: Final = 60
# httpx2 reads certificate authorities when a client is made, and raises OSError then.
# Whatever fails later is a RequestError.
_AUTHORITIES: Final = "SSL_CERT_FILE or SSL_CERT_DIR: the authorities cannot be read"


class Disk(NamedTuple):
    """Work on the disk. It never runs on the event loop."""

    work: Callable[[], Any]


Flight = Future[WatchwordError | None]
"""Work that one task or thread does for all of them.

Its result is the error that it failed with, or None.
"""


class Follow(NamedTuple):
    """Wait for the flight of another task, for so many seconds at most."""

    flight: Flight
    seconds: float


Step = Send | Wait | Disk | Follow
Exchange = Generator[Step, Any, Result]
"""Steps that lead to a result: each is sent the result of the one before."""


def run(exchange: Exchange[Result]) -> Result:
    """Run all steps, blocking, and return the result of the generator."""
    outcome: Any = None
    try:
        while True:
            outcome = run_step(exchange.send(outcome))
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        exchange.close()


async def arun(exchange: Exchange[Result]) -> Result:
    """Run all steps without blocking the event loop, and return their result."""
    outcome: Any = None
    try:
        while True:
            outcome = await arun_step(exchange.send(outcome))
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        exchange.close()


def run_step(step: Step) -> Any:  # noqa: ANN401 - the step's own
    """Run one step and return its result."""
    match step:
        case Send(request):
            return _send(request)
        case Wait(seconds):
            return time.sleep(seconds)
        case Disk(work):
            return work()
        case Follow(flight, seconds):
            return futures.wait([flight], seconds)


async def arun_step(step: Step) -> Any:  # noqa: ANN401 - the step's own
    """Run one step on any event loop and return its result.

    On another event loop than asyncio the step runs in a thread. A task that is
    cancelled there abandons the thread, unless it works on the disk: then the task
    waits for it.
    """
    if not _on_asyncio():
        from anyio import to_thread  # noqa: PLC0415 - httpx2 needs it only there too

        abandon = not isinstance(step, Disk)
        return await to_thread.run_sync(run_step, step, abandon_on_cancel=abandon)
    match step:
        case Send(request):
            return await _asend(request)
        case Wait(seconds):
            return await asyncio.sleep(seconds)
        case Disk(work):
            return await _to_its_end(work)
        case Follow(flight, seconds):
            return await _wait_for_flight(flight, seconds)


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _wait_for_flight(flight: Flight, seconds: float) -> None:
    waiting = asyncio.wrap_future(flight)
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        # Cancels the waiting, not the flight: the loop may end before the flight does.
        waiting.cancel()


async def _to_its_end(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the work's own
    """Run work in a thread and return its result. A cancelled task waits for it too.

    Otherwise the lock would be released while a write is still to come, and that write
    could put an old token over a new one.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def _send(request: Request) -> Outcome:
    try:
        with httpx2.Client(**_options(request)) as http:
            return _answer(
                http.request(
                    request.method,
                    request.url,
                    content=request.body,
                    headers=request.headers,
                )
            )
    except httpx2.RequestError as error:
        return _untrusted(error)
    except OSError:
        raise SettingsError([_AUTHORITIES]) from None


async def _asend(request: Request) -> Outcome:
    try:
        async with httpx2.AsyncClient(**_options(request)) as http:
            return _answer(
                await http.request(
                    request.method,
                    request.url,
                    content=request.body,
                    headers=request.headers,
                )
            )
    except httpx2.RequestError as error:
        return _untrusted(error)
    except OSError:
        raise SettingsError([_AUTHORITIES]) from None


def _untrusted(error: httpx2.RequestError) -> Unreachable | None:
    """The error of a failed TLS handshake; None for any other failure.

    A certificate does not change soon, so the error asks for a long wait.
    """
    why = tls_reason(error)
    if why is None:
        return None
    return Unreachable(f"{why[0].upper()}{why[1:]}.", retry_after=_CERTIFICATE_WAIT)


def _options(request: Request) -> dict[str, Any]:
    """The options of an HTTP client that serves one call.

    So it belongs to no event loop and keeps no connection open. Redirects are not
    followed, because they would take the refresh token elsewhere. Plain http is allowed
    only on this machine, and bypasses any proxy.
    """
    plain = request.url.startswith("http:")
    return {
        "timeout": TIMEOUT,
        "trust_env": not plain,
        # For plain http an empty context: reading the system's certificate authorities
        # would take longer than the call.
        "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
    }


def _answer(response: httpx2.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)
