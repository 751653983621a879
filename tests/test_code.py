"""From a code to a session: what is answered, and what ends it.

Each row of the table of codes stands here with a name of its own; races, faults and
changes meanwhile are in the files beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.codes import App, an_app, claims_of, outcome


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with an_app(tmp_path) as made:
        yield made


async def test_a_code_becomes_a_session_of_the_browsers_group(app: App) -> None:
    code = await app.code()
    answer = await app.redeem(code)
    assert outcome(answer) == "ok", answer.text
    told = answer.json()
    assert told["scope"] == "openid profile"
    row = await app.row(code)
    assert row is not None
    assert (row.started_from, row.generation) == (app.root.id, 1)
    says = claims_of(told["id_token"])
    assert (says["nonce"], says["sid"]) == ("n-1", row.sid)
    assert outcome(await app.refresh(told["refresh_token"])) == "ok"
