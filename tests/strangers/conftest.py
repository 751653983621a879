"""One server for all strangers of this folder: they do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.strangers.site import Site, open_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site") / "data") as opened:
        yield opened
