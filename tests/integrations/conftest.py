"""Every test in a folder of its own, for an app keeps its files where it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.fakes import FakeIssuer
from watchword import verify


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEED_SECRET", "the examples want one")
    return tmp_path


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    """The issuer of `examples/*_api.py`."""
    made = FakeIssuer()
    monkeypatch.setattr(verify, "Verifier", made.verifier, raising=False)
    monkeypatch.setattr(verify, "SyncVerifier", made.sync_verifier, raising=False)
    return made
