"""One code, many requests: one session, and one chain of refresh tokens.

20 requests, one key      each has the same refresh token
20 requests, 20 keys      the session is made once, and ends as reused
any order of anything     at most one session, one chain, and no life after its end
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codes import App, an_app, outcome
from tests.scenarios.api import local_api
from watchword.core.limits import CODE_LIFE, SECOND
from watchword.errors import CodeInvalid, CodeReused, WatchwordError
from watchword.ports.audit import EventType
from watchword.testing import ManualClock

REQUESTS: Final = 20
KINDS: Final = pytest.mark.parametrize(
    "kind", ["memory", "sqlite", "postgresql-16", "valkey-9", "cluster"]
)


@contextlib.asynccontextmanager
async def served(folder: Path, kind: str) -> AsyncIterator[list[App]]:
    """The application as two processes have it, where the store is one for both."""
    async with contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(an_app(folder, kind))
        apps = [app]
        if kind != "memory":
            other = local_api(app.engine.settings, app.clock, seed="other")
            apps.append(App(await stack.enter_async_context(other)))
        yield apps


async def race(apps: list[App], code: str, keys: list[str]) -> Counter[str]:
    """What 20 requests at once were answered; the tokens of those that were."""
    answers = await asyncio.gather(
        *(apps[n % len(apps)].redeem(code, key=key) for n, key in enumerate(keys))
    )
    return Counter(
        str(one.json().get("refresh_token") or outcome(one)) for one in answers
    )


@KINDS
async def test_of_many_requests_with_one_key_all_get_the_same_tokens(
    tmp_path: Path, kind: str
) -> None:
    async with served(tmp_path, kind) as apps:
        code = await apps[0].code()
        answers = await race(apps, code, ["the-same-key-00000000"] * REQUESTS)
        ((token, count),) = answers.items()
        assert count == REQUESTS
        assert len(await apps[0].alive()) == 1
        assert outcome(await apps[-1].refresh(token)) == "ok"


@KINDS
async def test_of_many_requests_with_keys_of_their_own_one_makes_the_session(
    tmp_path: Path, kind: str
) -> None:
    """The others are replays, and it ends by the first of them."""
    async with served(tmp_path, kind) as apps:
        code = await apps[0].code()
        keys = [f"a-key-of-its-own-{n:04}" for n in range(REQUESTS)]
        answers = await race(apps, code, keys)
        refused = answers.pop("invalid_grant")
        assert (refused, len(answers)) in {(REQUESTS, 0), (REQUESTS - 1, 1)}
        row = await apps[0].row(code)
        assert row is not None
        assert row.revoked_reason == "code_reused"
        assert len(await apps[0].events(EventType.CODE_REUSED)) == 1
        for token in answers:
            assert outcome(await apps[-1].refresh(token)) == "invalid_grant"


REQUEST: Final = st.sampled_from(["key-of-the-client-a", "key-of-a-thief-0001", None])
WAIT: Final = st.sampled_from([0, 30 * SECOND, CODE_LIFE + 1, -CODE_LIFE - 1])
STEPS: Final = st.lists(st.tuples(WAIT, REQUEST | st.just("refresh")), max_size=6)


def test_in_any_order_a_code_has_one_session_and_one_chain(tmp_path: Path) -> None:
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        opened = an_app(tmp_path)
        app = runner.run(opened.__aenter__())
        stack.callback(lambda: runner.run(opened.__aexit__(None, None, None)))

        @settings(max_examples=150, deadline=None, derandomize=True, database=None)
        @given(steps=STEPS)
        def whatever_comes(steps: list[tuple[int, str | None]]) -> None:
            runner.run(_whatever_comes(app, steps))

        whatever_comes()


async def _whatever_comes(app: App, steps: list[tuple[int, str | None]]) -> None:
    assert isinstance(app.clock, ManualClock)
    begun, first, latest, has_ended = app.clock.now, "", "", False
    code = await app.code(scope=())
    for wait, request in steps:
        app.clock.advance(wait)
        try:
            if request != "refresh":
                tokens = (await app.exchanged(code, request)).tokens
                # One chain: what a code gives is its first link, whenever it comes.
                assert tokens.refresh_token == (first or tokens.refresh_token)
                first = latest = tokens.refresh_token
            elif latest:
                session = await app.engine.sessions.refresh(latest, client_id="app")
                latest = session.refresh_token
            else:
                continue
            assert not has_ended
        except (CodeInvalid, CodeReused) as error:
            has_ended = has_ended or isinstance(error, CodeReused)
        except WatchwordError:
            assert has_ended
        live = [one.id for one in await app.alive()]
        assert live in ([], [app.grant(code).session_id])
        assert not (has_ended and live)
    app.clock.advance(begun - app.clock.now)
    for one in await app.alive():
        del app.stores.sessions._memory.sessions[one.id]
