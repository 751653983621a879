"""A Watchword for tests: in memory, the same every time, and quick at hashing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from pydantic import SecretStr

from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports import Clock
from watchword.testing.stand_ins import ManualClock, SeededEntropy

# In the place of what the app has: tests reach no database, and sign with no real key.
_REPLACED: Final[Mapping[str, Any]] = {
    "database_url": "memory:",
    "session_store_url": None,
    "secret": (SecretStr("a-secret-that-everybody-knows-0123456789"),),
}


def open_in_memory(
    settings: Mapping[str, Any], plugged_in: Mapping[str, Any], *, clock: Clock
) -> AbstractAsyncContextManager[Watchword]:
    """A started Watchword with these settings, whatever the environment has.

    `plugged_in` is what `open_watchword` takes from an app. Nothing runs in the
    background; the list of ended sessions never counts as old.
    """
    return open_watchword(
        Settings(**{**settings, **_REPLACED}),
        clock=clock,
        entropy=SeededEntropy("watchword"),
        monotonic=ManualClock(0),
        hashing=INSECURE_FOR_TESTS,
        background=False,
        **plugged_in,
    )
