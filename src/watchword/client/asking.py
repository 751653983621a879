"""Has the user proved again: calls the program's function, in one task for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from watchword.client.flights import Flights, follow
from watchword.client.refresher import EXCHANGE_TIMEOUT, Refresher
from watchword.client.runners import Step
from watchword.client.stored import StoredSession
from watchword.errors import InsufficientAuthentication

Ask = Callable[[InsufficientAuthentication], Awaitable[None] | None]
_IS_ASKING: Final = ContextVar("_IS_ASKING", default=False)


class AskStepUp(NamedTuple):
    """A step: call the program's function, which may ask the user for a proof."""

    needed: InsufficientAuthentication


class Asking:
    """The function of a program, if it has one; the tasks that need it wait for one."""

    def __init__(self, ask: Ask | None, refresher: Refresher) -> None:
        self._ask = ask
        self._refresher = refresher
        self._flights = Flights()

    @property
    def is_open(self) -> bool:
        """Whether there is a function, and this is not a request that it makes."""
        return self._ask is not None and not _IS_ASKING.get()

    def step_up(
        self, needed: InsufficientAuthentication, refused: str
    ) -> Generator[Step | AskStepUp, Any, StoredSession]:
        """The session, with another access token than the refused one if it has risen.

        Raises what the program's function raises, in the task that called it. Raises
        Unreachable in a task that waits for longer than EXCHANGE_TIMEOUT.
        """
        stored = yield from self._refresher.fresh()
        if stored.access_token != refused:
            return stored  # another task has asked meanwhile
        mine, flight = self._flights.join()
        if mine:
            yield from self._flights.run(flight, _asked(needed), shared=False)
        else:
            yield from follow(flight, EXCHANGE_TIMEOUT)
        return (yield from self._refresher.fresh())

    def call(self, needed: InsufficientAuthentication) -> None:
        """Call the function and block. Raises TypeError if it is async."""
        asked = self._called(needed)
        if asked is not None:
            if isinstance(asked, Coroutine):
                asked.close()
            raise TypeError("on_step_up is async, and this request is not")

    async def acall(self, needed: InsufficientAuthentication) -> None:
        """Call the function, and await it where it is async."""
        asked = self._called(needed)
        if asked is not None:
            with _marked():
                await asked

    def _called(self, needed: InsufficientAuthentication) -> Awaitable[None] | None:
        assert self._ask is not None  # noqa: S101 - no flow has this step otherwise
        with _marked():
            return self._ask(needed)


def _asked(needed: InsufficientAuthentication) -> Generator[AskStepUp, Any, None]:
    yield AskStepUp(needed)


@contextmanager
def _marked() -> Iterator[None]:
    mark = _IS_ASKING.set(True)
    try:
        yield
    finally:
        _IS_ASKING.reset(mark)
