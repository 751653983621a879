"""`make demo`: what it fills, and what it leaves alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo import __main__ as program
from demo import happenings, people, traffic
from demo.filling import ADMIN, fill
from watchword.bootstrap import open_watchword
from watchword.clocks import system_clock
from watchword.config import Settings
from watchword.core.limits import DAY, HOUR
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server.console.overview import overview_of

PASSWORD = "correct horse battery staple 41"


async def test_it_fills_every_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller one does, in half a day of figures."""
    monkeypatch.setattr(people, "ACCOUNTS", 60)
    monkeypatch.setattr(people, "NEW", 20)
    monkeypatch.setattr(happenings, "SESSIONS", 30)
    monkeypatch.setattr(happenings, "ENDED", 9)
    monkeypatch.setattr(happenings, "FAILED", 9)
    monkeypatch.setattr(traffic, "STATS_KEPT", 12 * HOUR)
    settings, now = Settings(data=tmp_path), system_clock()
    await fill(settings, PASSWORD, now)
    async with open_watchword(settings, hashing=INSECURE_FOR_TESTS) as engine:
        admin = engine.admin
        assert admin is not None
        mara = await engine.accounts.get(ADMIN)
        assert "admin" in mara.roles
        totals = await engine.stores.stats.totals(engine.policies.maybe_alive(now))
        assert (totals.accounts, totals.sessions) == (61, 30)
        assert totals.with_factor > 30
        events = await engine.stores.audit.read(0, 10_000)
        assert max(event.at for _, event in events) < now + DAY
        figures = await admin.overview.figures("24h")
        view = overview_of(figures, "24h", notable=(), failing=0)
        empty = [chart.title for chart in view.charts if not chart.shapes]
        assert empty == []
        statuses = {
            one.webhook.failing_since is None for one in await admin.webhooks.list()
        }
        assert statuses == {True, False}
        assert len((await admin.invitations.list()).items) == 3
        assert len((await admin.clients.list()).items) == 7


def test_it_touches_no_folder_of_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo"])
    kept = program.FOLDER / "watchword.db"
    program.FOLDER.mkdir()
    kept.write_text("mine")
    with pytest.raises(SystemExit, match="not a folder that this program made"):
        program.main()
    assert kept.read_text() == "mine"
