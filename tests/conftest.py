"""What every test shares: a clean environment, and no silent skips in CI."""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from starlette import routing

from tests import order, rewriting
from tests.patience import PATIENCE
from tests.servers import guard, process
from tests.tools import find

# What the tests of this process need and is absent: {program: {file: tests}}.
_absent: Final = pytest.StashKey[dict[str, dict[str, int]]]()
_REDIS: Final = ("redis.throttle", "redis.node", "redis.servers")
_guard: Final = pytest.StashKey[guard.Guard]()


@pytest.fixture(autouse=True, scope="session")
def _patient_stores() -> Iterator[None]:
    """A store in a test process is given up later than a busy machine makes it wait.

    What becomes of one that does not answer is tested where a test sets it shorter.
    """
    with pytest.MonkeyPatch.context() as patched:
        path = "watchword.stores"
        patched.setattr(f"{path}.postgresql.connections.QUERY_TIMEOUT", PATIENCE)
        for module in _REDIS:
            patched.setattr(f"{path}.{module}.ANSWER_TIMEOUT", PATIENCE)
        yield


@pytest.fixture(autouse=True, scope="session")
def _authorities_read_once() -> Iterator[None]:
    """Each client of HTTP reads all authorities, which takes longer than most tests.

    Where a test names others, by the environment, those are read.
    """
    http = sys.modules.get("httpcore2")  # what the tests import is imported by now
    if http is None:
        yield
        return
    reading = http.default_ssl_context
    contexts: dict[object, ssl.SSLContext] = {}

    def read(**given: bool) -> ssl.SSLContext:
        named = map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        key = (*given.items(), *named)
        if key not in contexts:
            contexts[key] = reading(**given)
        return contexts[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(http, "default_ssl_context", read)
        yield


@pytest.fixture(autouse=True, scope="session")
def _paths_compiled_once() -> Iterator[None]:
    """A server does so when it starts. Here thousands start, with the same paths."""
    with pytest.MonkeyPatch.context() as patched:
        compiled = functools.cache(routing.compile_path)
        patched.setattr(routing, "compile_path", compiled)
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own WATCHWORD_* variables decide nothing here."""
    for name in [name for name in os.environ if name.startswith("WATCHWORD_")]:
        monkeypatch.delenv(name)


@pytest.hookimpl(tryfirst=True)  # before pytest makes its own folder
def pytest_configure(config: pytest.Config) -> None:
    # What is collected stays: to look for garbage in it is a third of collecting.
    gc.disable()
    _hear_interrupts()
    config.stash[_absent] = {}
    if guard.folder() is None:
        config.stash[_guard] = guard.Guard()
        if config.option.basetemp is None:
            config.option.basetemp = f"{guard.folder()}/pytest"
        if getattr(config.option, "tx", None):  # there will be workers
            rewriting.rewrite_all(config)


def _hear_interrupts() -> None:
    """What tests start can be interrupted by them.

    A script's shell has what it runs in the background ignore SIGINT, and whatever is
    started there inherits that: a test that sends one would wait for nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Where the options of pytest were wrong, there was no session."""
    if _guard in config.stash:
        config.stash[_guard].over()


@pytest.hookimpl(trylast=True)  # -k and -m choose first
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """A test whose program is absent is not collected: tests/tools.py."""
    items[:] = order.ordered(items)
    absent = config.stash[_absent]
    for item in items.copy():
        needed = (name for mark in item.iter_markers("needs") for name in mark.args)
        missing = [name for name in needed if find(name) is None]
        if missing:
            items.remove(item)
        for name in missing:
            file = item.nodeid.partition("::")[0]
            files = absent.setdefault(name, {})
            files[file] = files.get(file, 0) + 1
    if hasattr(config, "workeroutput"):  # a worker of pytest-xdist tells its controller
        config.workeroutput["absent"] = absent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By file, but for what goes together."""
    if config.getoption("dist") != "loadfile":
        return None
    # Only the controller of the workers needs it.
    from xdist.scheduler import (  # type: ignore[import-untyped]  # noqa: PLC0415
        LoadFileScheduling,
    )

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return order.scope_of(nodeid)

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker has collected the same tests."""
    output = getattr(node, "workeroutput", {})  # one that crashed has none
    node.config.stash[_absent].update(output.get("absent", {}))


def pytest_collection_finish() -> None:
    """The tests, and what they import, live as long as the run: no garbage is there."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Names every test that was not collected."""
    for name, files in sorted(config.stash[_absent].items()):
        tests = ", ".join(f"{file} ({number})" for file, number in files.items())
        terminalreporter.write_line(f"not collected, for {name} is not here: {tests}")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fails the run for what was skipped in CI, and for what outlives it."""
    process.end_all()
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of pytest-xdist: its controller does the rest
        return
    faults = [*_skipped_in_ci(reporter), *_outliving(session.config)]
    for fault in faults:
        reporter.write_line(f"\n{fault}")
    if faults:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def _skipped_in_ci(reporter: pytest.TerminalReporter) -> Iterator[str]:
    """A missing backend is a visible skip on a laptop and a failure in CI."""
    skipped = reporter.stats.get("skipped")
    if skipped and os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        yield f"CI is set: {len(skipped)} skipped count as failed"


def _outliving(config: pytest.Config) -> Iterator[str]:
    """What a test starts ends with it."""
    if _guard in config.stash:
        for one in config.stash[_guard].over():
            yield f"a process outlived the tests, and was killed: {one}"
        del config.stash[_guard]
