"""One browser, three apps, two servers: a sign-out of one app is one of all.

browser -- signs in --> server   root
app-1, app-2, app-3 -- code -->  members, each checked by an API with a Verifier
app-1 -- /oauth/logout -->       root ends, then the members
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest_asyncio

from tests.codes import BACK, VERIFIER, challenge_of
from tests.patience import auntil
from tests.scenarios.api import PASSWORD, Server
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core.session import Authenticated, TokenSet
from watchword.errors import WatchwordError
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE
from watchword.verify import Verifier

APPS: Final = ("app-1", "app-2", "app-3")
HOME: Final = "127.0.0.1"


class Site:
    """Two servers of one folder, and what a browser and three apps do at them."""

    def __init__(self, one: Server, two: Server, engine: Watchword) -> None:
        self.one, self.two = one, two
        self.engine = engine
        self.feed = ("", "")

    async def begin(self) -> None:
        clients = self.engine.clients
        for name in APPS:
            await clients.add(
                name, confidential=False, redirect_uris=[BACK], trusted=True
            )
        _, secret = await clients.add("api", confidential=True, rights=["feed"])
        self.feed = ("api", str(secret))
        await self.engine.accounts.register("alice", PASSWORD)

    async def sign_in(self) -> TokenSet:
        proof = await self.engine.sign_in.check_password("alice", PASSWORD)
        service = self.engine.self_service
        assert service is not None
        return await service.browser.begin(proof, address=HOME, user_agent="Firefox")

    async def code(self, root: TokenSet, client: str) -> str:
        session, oauth = root.session, self.engine.oauth
        assert oauth is not None
        account = await self.engine.accounts.get("alice")
        return oauth.codes.make(
            Authenticated(
                session.account_id,
                (),
                account.epoch,
                session.amr,
                session.acr,
                session.auth_time,
            ),
            root=session,
            client_id=client,
            redirect_uri=BACK,
            challenge=challenge_of(VERIFIER),
            nonce="",
            scope=("openid",),
            resources=(),
            jkt="",
        )

    async def redeem(self, server: Server, client: str, code: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": client,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        }
        async with server.api() as api:
            return await api.client.post("/oauth/token", data=form)

    async def log_out(self, server: Server, root: TokenSet, hint: str) -> int:
        """By the app whose ID token it is. 0 where the server died."""
        cookie = {"cookie": f"{SIGN_IN_COOKIE}={root.refresh_token}"}
        with contextlib.suppress(httpx2.TransportError):
            async with server.api() as api:
                answer = await api.client.get(
                    "/oauth/logout", params={"id_token_hint": hint}, headers=cookie
                )
            return answer.status_code
        return 0


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    folder, deadly = tmp_path / "data", tmp_path / "die"
    two = Server(folder, name="two")
    issuer = {"WATCHWORD_ISSUER": two.url}
    two.environment |= issuer
    one = Server(folder, name="one", **issuer)
    async with two:
        await one.start("--die-before-members", str(deadly))
        settings = Settings(data=folder, issuer=two.url)
        async with open_watchword(
            settings, hashing=INSECURE_FOR_TESTS, background=False
        ) as engine:
            made = Site(one, two, engine)
            await made.begin()
            yield made
        one.stop()


async def code_of(verifier: Verifier, answer: httpx2.Response) -> str:
    token: Any = answer.json()["access_token"]
    try:
        await verifier.verify(token)
    except WatchwordError as error:
        return error.code
    return "ok"


async def test_who_signs_out_of_one_app_is_out_of_all_though_the_server_dies(
    site: Site, tmp_path: Path
) -> None:
    """First by a server that lives, then by one that dies between root and members.

    A code that was on its way makes no session afterwards.
    """
    async with Verifier(site.two.url, feed=site.feed) as api:
        for dies in (False, True):
            root = await site.sign_in()
            codes = [await site.code(root, name) for name in APPS]
            late = await site.code(root, APPS[0])
            apps = [
                await site.redeem(site.one, name, code)
                for name, code in zip(APPS, codes, strict=True)
            ]
            assert [await code_of(api, one) for one in apps] == ["ok"] * 3
            if dies:
                (tmp_path / "die").touch()
            hint = apps[0].json()["id_token"]
            status = await site.log_out(site.one, root, hint)
            assert status == (0 if dies else 200)

            async def all_out(apps: list[httpx2.Response] = apps) -> bool:
                found = {await code_of(api, one) for one in apps}
                return found == {"token_revoked"}

            await auntil(all_out)
            answer = await site.redeem(site.two, APPS[0], late)
            assert answer.json()["error"] == "invalid_grant"
