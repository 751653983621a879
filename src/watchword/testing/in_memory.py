"""A Watchword for tests: in memory, deterministic, and with fast password hashing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from pydantic import SecretStr

from watchword.bootstrap import Watchword, open_watchword
from watchword.clocks import Clock
from watchword.config import Settings
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.testing.fakes import ManualClock, SeededEntropy

# These replace the app's settings, so that tests use no database and no real secret.
_REPLACED: Final[Mapping[str, Any]] = {
    "database_url": "memory:",
    "session_store_url": None,
    "secret": (SecretStr("a-secret-that-everybody-knows-0123456789"),),
}


def open_in_memory(
    settings: Mapping[str, Any], hooks: Mapping[str, Any], *, clock: Clock
) -> AbstractAsyncContextManager[Watchword]:
    """A started Watchword with these settings. The environment is not read.

    `hooks` are the callbacks that `open_watchword` takes from an app. Nothing runs in
    the background, and the set of ended sessions never counts as out of date.
    """
    return open_watchword(
        Settings(**{**settings, **_REPLACED}),
        clock=clock,
        entropy=SeededEntropy("watchword"),
        monotonic=ManualClock(0),
        hashing=INSECURE_FOR_TESTS,
        background=False,
        **hooks,
    )
