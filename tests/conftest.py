"""What every test shares: a clean environment, and no silent skips in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own WATCHWORD_* variables decide nothing here."""
    for name in [name for name in os.environ if name.startswith("WATCHWORD_")]:
        monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """A missing backend is a visible skip on a laptop and a failure in CI."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped") if reporter else None
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    if reporter and skipped and in_ci:
        reporter.write_line(f"\nCI is set: {len(skipped)} skipped count as failed")
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    return (yield)
