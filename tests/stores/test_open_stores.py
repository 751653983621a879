"""The table of stores: what is missing is named, by a name that there is."""

from __future__ import annotations

import sys
from importlib.metadata import metadata
from os import urandom

import pytest

from watchword import stores
from watchword.errors import SettingsError

DRIVERS = {"sqlite": "apsw", "postgresql": "asyncpg", "redis": "redis"}


@pytest.mark.parametrize("scheme", DRIVERS)
async def test_without_its_driver_a_store_says_what_to_install(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra that brings the driver, as the package's metadata has it."""
    module, extra, _ = (stores.STORES | stores.SESSION_STORES)[scheme]
    driver = DRIVERS[scheme]
    for name in [name for name in sys.modules if name.startswith((module, driver))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    url = f"{scheme}://127.0.0.1/x"
    of_all, of_sessions = ("memory://", url) if scheme == "redis" else (url, None)
    with pytest.raises(SettingsError, match=rf"install watchword\[{extra}\]"):
        await stores.open_stores(of_all, urandom, of_sessions)
    assert extra in (metadata("watchword").get_all("Provides-Extra") or [])
