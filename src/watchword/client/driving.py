"""Takes the steps of a conversation: one driver that waits, one that awaits.

All decisions are in the generators (`session.py`, `keeper.py`); a driver only does what
a step says, and hands back what came of it. Dropped in the middle, by a cancelled task
or Ctrl-C, it leaves what the steps before stored; the generator's `finally` gives back
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

from watchword.client.session import Answer, Request, Send, Wait
from watchword.errors import WatchwordError

Result = TypeVar("Result")

# A refresh is one small answer; who waits for it holds up everybody else.
TIMEOUT: Final = httpx2.Timeout(10)


class Disk(NamedTuple):
    """Work on the disk: never on the event loop."""

    work: Callable[[], Any]


Flight = Future[WatchwordError | None]
"""What a task or thread is doing for all; its result is what went wrong."""


class Follow(NamedTuple):
    """Wait for another's flight, and not longer than so many seconds."""

    flight: Flight
    seconds: float


Step = Send | Wait | Disk | Follow
Steps = Generator[Step, Any, Result]


def drive(steps: Steps[Result]) -> Result:
    """Take all steps; their result."""
    outcome: Any = None
    try:
        while True:
            outcome = take(steps.send(outcome))
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        steps.close()


async def adrive(steps: Steps[Result]) -> Result:
    """Take all steps without blocking the event loop; their result."""
    outcome: Any = None
    try:
        while True:
            outcome = await atake(steps.send(outcome))
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        steps.close()


def take(step: Step) -> Any:  # noqa: ANN401 - the step's own
    """What came of one step."""
    match step:
        case Send(request):
            return _send(request)
        case Wait(seconds):
            return time.sleep(seconds)
        case Disk(work):
            return work()
        case Follow(flight, seconds):
            return futures.wait([flight], seconds)


async def atake(step: Step) -> Any:  # noqa: ANN401 - the step's own
    """What came of one step, on whatever the event loop is.

    Elsewhere than on asyncio a thread takes it. A cancelled task leaves it alone there,
    but for work on the disk, for which it waits.
    """
    if not _on_asyncio():
        from anyio import to_thread  # noqa: PLC0415 - as httpx2 has it, there alone

        abandon = not isinstance(step, Disk)
        return await to_thread.run_sync(take, step, abandon_on_cancel=abandon)
    match step:
        case Send(request):
            return await _asend(request)
        case Wait(seconds):
            return await asyncio.sleep(seconds)
        case Disk(work):
            return await _to_its_end(work)
        case Follow(flight, seconds):
            return await _landed(flight, seconds)


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _landed(flight: Flight, seconds: float) -> None:
    waiting = asyncio.wrap_future(flight)
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        waiting.cancel()  # the waiting, not the flight: the loop may end before it


async def _to_its_end(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the work's own
    """What work in a thread returns. A cancelled task waits for it to end, too.

    Else the lock would be given back with a write still to come, which could put an old
    token over a new one.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def _send(request: Request) -> Answer | None:
    try:
        with httpx2.Client(**_options(request)) as http:
            return _answer(
                http.post(request.url, content=request.body, headers=request.headers)
            )
    except httpx2.RequestError:
        return None


async def _asend(request: Request) -> Answer | None:
    try:
        async with httpx2.AsyncClient(**_options(request)) as http:
            return _answer(
                await http.post(
                    request.url, content=request.body, headers=request.headers
                )
            )
    except httpx2.RequestError:
        return None


def _options(request: Request) -> dict[str, Any]:
    """A client for one call: it belongs to no event loop, and keeps no connection.

    Redirects are not followed: they would take the refresh token elsewhere. Plain http
    is for this machine alone, and past any proxy.
    """
    plain = request.url.startswith("http:")
    return {
        "timeout": TIMEOUT,
        "trust_env": not plain,
        # Reading the system's authorities takes longer than the call.
        "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
    }


def _answer(response: httpx2.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)
