"""The fixtures of the pytest plugin, for tests of apps that use Watchword.

pytest loads this module wherever Watchword is installed. So nothing is imported, and
nothing runs, before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.testing.fakes import ManualClock
    from watchword.testing.login_as import LoginAs
    from watchword.testing.runner_thread import RunnerThread


@pytest.fixture
def watchword_auth() -> Any:  # noqa: ANN401 - an `Auth` or `ResourceServer`, or None
    """The app's `Auth` or `ResourceServer`. An app that has one overrides this."""
    return None


@pytest.fixture
def frozen_clock() -> ManualClock:
    """The clock of `watchword`. It stands still until `frozen_clock.advance(...)`."""
    from watchword.testing.fakes import ManualClock  # noqa: PLC0415 - when needed

    return ManualClock()


@pytest.fixture
def _watchword_runner() -> Iterator[RunnerThread]:
    from watchword.testing.runner_thread import RunnerThread  # noqa: PLC0415 - when needed

    runner = RunnerThread()
    try:
        yield runner
    finally:
        runner.close()


@pytest.fixture
def watchword(
    watchword_auth: Any,  # noqa: ANN401 - see there
    frozen_clock: ManualClock,
    _watchword_runner: RunnerThread,
) -> Iterator[Watchword]:
    """A started Watchword in memory, with a clock that stands still.

    The app of `watchword_auth` runs on it, with the app's own settings, claims and
    users. Each test gets a new one.
    """
    from watchword.testing.in_memory import open_in_memory  # noqa: PLC0415 - an extra

    # All integrations have `_authenticator`; only the app knows which one it uses.
    authenticator = watchword_auth and watchword_auth._authenticator  # noqa: SLF001
    options = ({}, {}) if authenticator is None else authenticator.engine_options()
    opened = open_in_memory(*options, clock=frozen_clock)
    run = _watchword_runner.run
    # An integration of a framework without an event loop keeps a thread that has one.
    # It is ended here, and starts again with the next request.
    close = getattr(watchword_auth, "close", lambda: None)
    close()
    with ExitStack() as leaving:
        engine = run(opened.__aenter__())
        leaving.callback(lambda: run(opened.__aexit__(None, None, None)))
        if authenticator is not None:
            leaving.enter_context(authenticator.use_engine(engine))
        leaving.callback(close)
        yield engine


@pytest.fixture
def login_as(
    watchword: Watchword,
    watchword_auth: Any,  # noqa: ANN401 - see there
    _watchword_runner: RunnerThread,
) -> LoginAs:
    """`login_as("ann", roles=["admin"]).headers`: the headers of a signed-in user."""
    from watchword.integrations.authenticator import RemoteVerifier  # noqa: PLC0415 - when needed
    from watchword.testing.login_as import LoginAs  # noqa: PLC0415 - an extra

    authenticator = getattr(watchword_auth, "_authenticator", None)
    is_remote = authenticator is None or isinstance(authenticator, RemoteVerifier)
    return LoginAs(watchword, _watchword_runner, any_scope=is_remote)
