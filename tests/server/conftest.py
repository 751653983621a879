"""The application in this process, signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.api import LocalApi, local_api, settings_for
from watchword.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(settings_for(tmp_path, "memory"), clock) as opened:
        yield opened
