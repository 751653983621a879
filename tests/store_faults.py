"""One call to the store that fails: before its work, after it, or cancelled there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import pytest

from watchword import background
from watchword.errors import StoreUnavailable, WatchwordError

FAULTS: Final = pytest.mark.parametrize(
    "fault", [StoreUnavailable, asyncio.CancelledError]
)
AFTER: Final = pytest.mark.parametrize(
    "after", [False, True], ids=["unwritten", "written"]
)
VERBS: Final[Mapping[str, Sequence[str]]] = {
    "sessions": ("create", "load", "swap", "end"),
    "accounts": ("by_id", "swap"),
    "confirmations": ("by_token",),
    "credentials": ("of_account", "swap", "by_key", "add"),
    "throttle": ("take",),
    "once": ("use_once",),
    "clients": ("load",),
    "consents": ("load",),
    "keys": ("load", "swap"),
}


class Faults:
    """Makes one call to the store fail: the one of that number, before or after it."""

    def __init__(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.failing = -1
        self.fault: Callable[[], BaseException] = StoreUnavailable
        self.after = False
        monkeypatch.setattr(background, "PAUSES", (0, 0, 0))
        for port, verbs in VERBS.items():
            for verb in verbs:
                on = getattr(stores, port)
                name = f"{port}.{verb}"
                patched = self._faulty(name, getattr(on, verb))
                monkeypatch.setattr(on, verb, patched)

    def _faulty(self, name: str, real: Callable[..., Awaitable[Any]]) -> Any:
        async def call(*given: Any, **named: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if number == self.failing and not self.after:
                raise self.fault()
            answer = await real(*given, **named)
            if number == self.failing:
                raise self.fault()
            return answer

        return call

    async def during(
        self, call: Awaitable[Any], failing: int = -1, *, after: bool = False
    ) -> list[str]:
        """The calls to the store; the one of that number has failed."""
        self.calls, self.failing, self.after = [], failing, after
        try:
            await call
        except (WatchwordError, asyncio.CancelledError):
            assert failing >= 0
        self.failing = -1
        return [*self.calls]


async def settled(engine: Any) -> None:
    """What goes on in the background has come to its end."""
    while tasks := engine.background._tasks:
        await asyncio.wait(tasks)
