"""Clients of Node.js: each promise of a script is a test of its own."""

from __future__ import annotations

import pytest

from tests.strangers.node import HERE, Report, promises
from tests.strangers.site import Site

SCRIPTS = ("oauth4webapi.mjs", "openid-client.mjs")


@pytest.fixture(scope="module")
def reports(site: Site) -> dict[str, Report]:
    assert (HERE / "node_modules").is_dir(), "`make test` fetches the npm packages"
    return {script: Report(script, site.facts()) for script in SCRIPTS}


@pytest.mark.parametrize(
    ("script", "promise"), [(s, p) for s in SCRIPTS for p in promises(s)]
)
def test_it_keeps_its_promise(
    reports: dict[str, Report], script: str, promise: str
) -> None:
    """The script keeps its promise."""
    why = reports[script].why_broken(promise)
    assert why is None, f"{promise}\n{why}"
