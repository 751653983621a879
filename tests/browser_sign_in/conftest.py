"""A browser, on each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser_sign_in.browser import Browser
from tests.scenarios.api import local_api as open_api
from tests.scenarios.api import settings_for
from watchword.testing import ManualClock


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def browser(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Browser]:
    mail = "smtps://mail.example"
    settings = settings_for(tmp_path, request.param, mail_url=mail)
    async with open_api(settings, ManualClock()) as api:
        yield Browser(api)
