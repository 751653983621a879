"""Second factors over HTTP: each flow as a story, and how each is refused.

The rules are tested with the engine. Here: the members and statuses that programs are
written against, who may go on with what, and that no call goes past the factor.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.authenticator import Authenticator
from tests.scenarios.api import (
    BASE,
    PASSWORD,
    LocalApi,
    bearer,
    local_api,
    settings_for,
)
from tests.server.factors import (
    Phone,
    call,
    continued,
    good,
    post,
    signed_in,
    verdict,
    with_phone,
)
from tests.server.test_account_calls import Mails, confirmed
from tests.surfaces.proofs import Prover
from watchword import Credentials, Subject
from watchword.config import Settings
from watchword.core.limits import MINUTE, SECOND
from watchword.testing import ManualClock

ISSUER: Final = "http://localhost:8000"
NEW: Final = "five other words make one"
ANN: Final = "ann@example.org"
COOKIE: Final = "__Host-watchword-continuation"


def serving(folder: Path, **given: Any) -> Settings:
    asked = {"issuer": ISSUER, "registration": "open", **given}
    return settings_for(folder, "memory").model_copy(update=asked)


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(serving(tmp_path), clock) as opened:
        yield opened


def claims_of(tokens: Any) -> Any:
    return __import__("jwt").decode(
        tokens["accessToken"], options={"verify_signature": False}
    )
