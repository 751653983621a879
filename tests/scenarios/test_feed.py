"""Verifiers elsewhere, and a feed that is cut, held up, restarted: no revoked token.

API with a Verifier  -->  proxy  -->  server
                          cut, frozen   killed, started again
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import pytest
import pytest_asyncio

from tests.cli.terminal import Terminal
from tests.patience import auntil
from tests.server.following import Follower
from tests.server.live import Live
from tests.servers.process import free_port
from tests.servers.proxy import Proxy, proxy
from watchword.clocks import monotonic
from watchword.core import limits
from watchword.errors import WatchwordError
from watchword.verify import Verifier
from watchword.verify.options import CutOff


class Site:
    """A server behind a proxy, and the time that passes for the APIs."""

    def __init__(self, live: Live, follower: Follower, between: Proxy) -> None:
        self.live = live
        self.between = between
        self.credentials = follower.credentials
        self.issuer = f"http://127.0.0.1:{between.port}"
        self._later = 0

    def verifier(self, cut_off: CutOff = "closed") -> Verifier:
        return Verifier(
            self.issuer,
            feed=self.credentials,
            cut_off=cut_off,
            monotonic=lambda: monotonic() + self._later,
        )

    def pass_the_bound(self) -> None:
        """Half a minute passes in which the verifiers hear nothing."""
        self._later += limits.FEED_STALE + limits.SECOND

    async def sign_in(self) -> Any:
        return await asyncio.to_thread(self.live.login)

    async def log_out(self, tokens: Any) -> None:
        """Past the proxy."""
        body = {"refreshToken": tokens["refreshToken"]}
        answer = await asyncio.to_thread(
            self.live.call, "POST", "/api/auth/logout", body
        )
        assert answer.status == 200

    async def revoke(self, tokens: Any) -> None:
        """By the operator: another process, whether the server runs or not."""
        terminal = Terminal(self.live.data)
        command = ("sessions", "revoke", tokens["sessionId"])
        await asyncio.to_thread(terminal.run, *command)


@pytest.fixture(scope="module")
def front() -> int:
    """Where the proxy is: known before there is one, since the issuer is named so."""
    return free_port()


@pytest.fixture(scope="module")
def follower(
    tmp_path_factory: pytest.TempPathFactory, front: int
) -> Iterator[Follower]:
    folder = tmp_path_factory.mktemp("feed") / "data"
    with Live(folder, WATCHWORD_ISSUER=f"http://127.0.0.1:{front}") as live:
        live.login()
        yield Follower(live)


@pytest_asyncio.fixture
async def site(follower: Follower, front: int) -> AsyncIterator[Site]:
    async with proxy(follower.live.port, at=front) as between:
        yield Site(follower.live, follower, between)


async def code_of(verifier: Verifier, tokens: Any) -> str:
    """What the API answers: `ok`, or the code."""
    try:
        claims = await verifier.verify(tokens["accessToken"])
    except WatchwordError as error:
        return error.code
    assert claims.sid == tokens["sessionId"]
    return "ok"


async def becomes(code: str, verifier: Verifier, tokens: Any) -> None:
    """Until the API answers so; it must not accept the token on the way."""

    async def reached() -> bool:
        found = await code_of(verifier, tokens)
        assert found in {code, "store_unavailable"}
        return found == code

    await auntil(reached)


async def follows(verifier: Verifier) -> None:
    await auntil(lambda: verifier.health().feed == "following")


async def test_s39_cut_off_it_refuses_after_the_bound_and_recovers_by_itself(
    site: Site,
) -> None:
    """503, not 401: nobody is signed out. An API that chose `open` goes on."""
    alice, bob = await site.sign_in(), await site.sign_in()
    closed, opened = site.verifier(), site.verifier("open")
    async with closed, opened:
        for verifier in (closed, opened):
            assert await code_of(verifier, alice) == "ok"
        site.between.cut()
        await site.log_out(bob)
        assert await code_of(closed, alice) == "ok"  # nobody waits for the feed
        site.pass_the_bound()
        assert await code_of(closed, alice) == "store_unavailable"
        assert await code_of(closed, bob) == "store_unavailable"
        assert await code_of(opened, alice) == "ok"
        health = closed.health()
        assert (health.ready, health.feed) == (False, "cut off")
        assert (health.feed_age or 0) * limits.SECOND > limits.FEED_STALE
        health = opened.health()
        assert (health.ready, health.feed) == (True, "cut off")

        async def noticed() -> bool:
            return closed.health().feed_error is not None

        await auntil(noticed)
        site.between.mend()
        await becomes("ok", closed, alice)
        assert await code_of(closed, bob) == "token_revoked"
        await follows(opened)
        assert await code_of(opened, bob) == "token_revoked"
        assert closed.health().feed_error is None


async def test_s52_a_connection_that_is_half_open_proves_nothing(site: Site) -> None:
    """What it brings late is old, though it arrives now."""
    alice, bob = await site.sign_in(), await site.sign_in()
    async with site.verifier() as api:
        for tokens in (alice, bob):
            assert await code_of(api, tokens) == "ok"
        site.between.freeze()
        await site.log_out(bob)
        site.pass_the_bound()
        for tokens in (alice, bob):
            assert await code_of(api, tokens) == "store_unavailable"
        site.between.thaw()
        await becomes("token_revoked", api, bob)
        await becomes("ok", api, alice)


async def test_s52_an_answer_held_up_for_half_a_minute_is_half_a_minute_old(
    site: Site,
) -> None:
    """It was made before bob signed out, and arrives after the bound."""
    alice, bob = await site.sign_in(), await site.sign_in()
    async with site.verifier() as api:
        assert await code_of(api, bob) == "ok"
        site.between.freeze()
        await site.revoke(alice)  # has the waiting poll answered: this is held up
        await auntil(lambda: site.between.held)
        follower = api._follower
        assert follower is not None
        taken: list[int | None] = []
        take = follower.take

        def watched(*given: Any, **named: Any) -> None:
            take(*given, **named)
            taken.append(follower.age())

        follower.take = watched  # type: ignore[method-assign]
        site.pass_the_bound()
        site.between.thaw()

        await auntil(lambda: taken)
        assert (taken[0] or 0) > limits.FEED_STALE
        await becomes("ok", api, bob)
        assert await code_of(api, alice) == "token_revoked"


async def test_s52_a_feed_that_was_restarted_forgets_nobody(site: Site) -> None:
    """Who signed out before, meanwhile and after: all of them stay so."""
    alice, before, between, after = [await site.sign_in() for _ in range(4)]
    async with site.verifier() as api:
        await site.log_out(before)

        async def reached() -> bool:
            return await code_of(api, before) == "token_revoked"

        await auntil(reached)
        site.live.kill()
        await site.revoke(between)
        assert await code_of(api, before) == "token_revoked"
        site.pass_the_bound()
        assert await code_of(api, between) == "store_unavailable"
        assert await code_of(api, before) == "token_revoked"
        await asyncio.to_thread(site.live.start)
        await becomes("token_revoked", api, between)
        await site.log_out(after)

        async def reached_too() -> bool:
            return await code_of(api, after) == "token_revoked"

        await auntil(reached_too)
        assert await code_of(api, before) == "token_revoked"
        assert await code_of(api, alice) == "ok"
        # One that starts now, and has never heard of any of them.
        async with site.verifier() as fresh:
            for tokens in (before, between, after):
                await becomes("token_revoked", fresh, tokens)
            assert await code_of(fresh, alice) == "ok"


async def test_s52_one_that_starts_while_the_feed_is_away_accepts_nothing(
    site: Site,
) -> None:
    alice = await site.sign_in()
    site.between.cut()
    for cut_off in get_args(CutOff):
        async with site.verifier(cut_off) as api:
            assert await code_of(api, alice) == "store_unavailable"
            assert api.health().feed == "starting"
    async with site.verifier() as api:
        assert await code_of(api, alice) == "store_unavailable"
        site.between.mend()
        await becomes("ok", api, alice)


async def test_s34_the_operator_reaches_every_api(site: Site) -> None:
    """A command in another process, and a session of somebody else stays."""
    alice, bob = await site.sign_in(), await site.sign_in()
    async with site.verifier() as api:
        for tokens in (alice, bob):
            assert await code_of(api, tokens) == "ok"
        await site.revoke(bob)

        async def reached() -> bool:
            return await code_of(api, bob) == "token_revoked"

        await auntil(reached)
        assert await code_of(api, alice) == "ok"
