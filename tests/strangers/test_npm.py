"""Clients of Node.js: each promise of a script is a test of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.strangers.node import HERE, Report, promises
from tests.strangers.site import Site

SCRIPTS = ("oauth4webapi.mjs", "oidc-provider.mjs", "openid-client.mjs")


@pytest.fixture(scope="module")
def reports(site: Site) -> dict[str, Report]:
    assert (HERE / "node_modules").is_dir(), "`make test` fetches the npm packages"
    with ThreadPoolExecutor(len(SCRIPTS)) as side_by_side:
        run = partial(Report, given=site.facts())
        return dict(zip(SCRIPTS, side_by_side.map(run, SCRIPTS), strict=True))


@pytest.mark.parametrize(
    ("script", "promise"), [(s, p) for s in SCRIPTS for p in promises(s)]
)
def test_it_keeps_its_promise(
    reports: dict[str, Report], script: str, promise: str
) -> None:
    """The script keeps its promise."""
    why = reports[script].why_broken(promise)
    assert why is None, f"{promise}\n{why}"
