"""Clients that go on whatever happens to the servers, and remember all of it.

Each follows its own chain of tokens as a good client does: the retry key is drawn and
kept before it is sent, and what had no answer, or 503, is sent again, to another server
perhaps. Some log out, some are robbed, some look whether their access token works; and
whoever is told that it is over signs in again.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

from tests.faults.history import Call, Verb, violations
from tests.faults.serving import PASSWORD, Server
from tests.patience import PATIENCE
from tests.scenarios.api import Api, code_of

BACK_OFF, BACK_OFF_MAX = 0.02, 0.2
REMEMBERED: Final = 3
"""Older tokens of a client, for whoever robs it."""
PROBED: Final = 10
"""Sessions that are looked at once more when all is over."""


class Mix(msgspec.Struct, frozen=True):
    """How often, of one, a client does something else than a plain refresh.

    Seldom what makes it sign in again: one that is cut off counts as a failed one, and
    after too many of these the throttle would keep the others out.
    """

    logout: float = 0.005
    theft: float = 0.005
    twice: float = 0.02
    secure: float = 0.1


USUAL: Final = Mix()
HONEST: Final = Mix(logout=0, theft=0)


class Tokens(NamedTuple):
    """What a client holds: the texts, and what the refresh token says."""

    refresh: str
    access: str

    @property
    def session(self) -> str:
        return urlsafe_b64decode(self.refresh[6:])[1:17].hex()

    @property
    def generation(self) -> int:
        return int.from_bytes(urlsafe_b64decode(self.refresh[6:])[17:21])


class Client:
    """One user's device. `allowance` is how often it may still rotate."""

    def __init__(self, load: Load, number: int) -> None:
        self.allowance = math.inf
        self.idle = False
        self.tokens: Tokens | None = None
        self._load = load
        self._draw = random.Random(f"{load.seed} {number}")
        self._keys = number * 1_000_000
        self._older: list[Tokens] = []

    async def run(self) -> None:
        """Until the load ends; then once more, for what was acknowledged to hold."""
        while await self._turn():
            if self.tokens is None:
                await self._sign_in()
                continue
            mix, drawn = self._load.mix, self._draw.random()
            for share, what in (
                (mix.logout, self._log_out),
                (mix.theft, self._robbed),
                (mix.twice, self._twice),
                (mix.secure, self._look),
                (1, self._refresh),
            ):
                drawn -= share
                if drawn < 0:
                    await what(self.tokens)
                    break
        if self.tokens is not None:
            await self._refresh(self.tokens)

    async def _turn(self) -> bool:
        """Whether to go on, once this client may."""
        load = self._load
        if self.allowance <= 0 and not load.ending:
            async with load.turn:
                self.idle = True
                load.turn.notify_all()
                await load.turn.wait_for(lambda: self.allowance > 0 or load.ending)
                self.idle = False
        return not load.ending

    async def _sign_in(self) -> None:
        answer, self.tokens = await self._load.until_answered("login")
        assert answer.status == 200, answer

    async def _refresh(self, tokens: Tokens, copies: int = 1) -> None:
        self._keys += 1
        key = f"retry-key-{self._keys:010d}"
        answer, successor = await self._load.until_answered(
            "refresh", tokens, key, copies
        )
        if answer.code in {"refresh_reused", "session_revoked"}:
            self._load.over.append(tokens)
        self._older = [*self._older, tokens][-REMEMBERED:] if successor else []
        self.tokens = successor
        self.allowance -= 1

    async def _twice(self, tokens: Tokens) -> None:
        """Two tabs that share the key ask at the same time."""
        await self._refresh(tokens, copies=2)

    async def _robbed(self, tokens: Tokens) -> None:
        """Somebody has a copy of a token, and uses it beside its owner."""
        copy = self._draw.choice([*self._older, tokens])
        thief = self._load.send(self._load.any(), "refresh", copy)
        await asyncio.gather(thief, self._refresh(tokens))

    async def _look(self, tokens: Tokens) -> None:
        await self._load.send(self._load.any(), "secure", tokens)

    async def _log_out(self, tokens: Tokens) -> None:
        answer, _ = await self._load.until_answered("logout", tokens)
        self.tokens, self._older = None, []
        for server in (answer.server, self._load.any()):
            await self._load.probe(server, tokens)
        self._load.over.append(tokens)


class Load:
    """The clients, and the history of their calls. Use `load`."""

    def __init__(self, apis: Mapping[str, Api], seed: int, mix: Mix) -> None:
        self.names = list(apis)
        self.seed = seed
        self.mix = mix
        self.calls: list[Call] = []
        self.over: list[Tokens] = []
        self.healed = 0
        self.ending = False
        self.turn = asyncio.Condition()
        self._apis = apis
        self._draw = random.Random(seed)
        self._clients: dict[Client, asyncio.Task[None]] = {}
        self._more = asyncio.Event()
        self._answers: Counter[int] = Counter()

    @property
    def rotations(self) -> int:
        """How many different ones were acknowledged."""
        return len({(one.session, one.grown) for one in self.calls if one.grown > 0})

    def add_client(self, group: asyncio.TaskGroup) -> None:
        client = Client(self, len(self._clients))
        self._clients[client] = group.create_task(client.run())

    async def answers(self, number: int, status: int = 200) -> None:
        """Until so many more requests have been answered like that."""
        target = self._answers[status] + number
        async with asyncio.timeout(PATIENCE):
            while self._answers[status] < target:
                self._more.clear()
                await self._more.wait()

    async def hold(self, after: int = 0) -> None:
        """Until every client has rotated so often, and asks for nothing."""
        await self.allow(after)
        async with asyncio.timeout(PATIENCE), self.turn:
            await self.turn.wait_for(lambda: all(one.idle for one in self._clients))

    async def allow(self, rotations: float = math.inf) -> None:
        """Let each client rotate so often, then hold."""
        async with self.turn:
            for client in self._clients:
                client.allowance = rotations
                client.idle &= not rotations
            self.turn.notify_all()

    async def finish(self) -> None:
        """Let every client end well; what is over is refused by every server."""
        self.ending = True
        await self.allow()
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*self._clients.values())
                await self._probe_everywhere()
        except TimeoutError:
            found = {one.promise: one for one in violations(self.calls)}
            raise AssertionError(found) from None

    async def _probe_everywhere(self) -> None:
        for server in self.names:
            for tokens in self.over[-PROBED:]:
                while not await self.probe(server, tokens):  # noqa: ASYNC110
                    await asyncio.sleep(BACK_OFF)

    async def probe(self, server: str, tokens: Tokens) -> bool:
        """Whether that server has made up its mind on a session that is over."""
        refresh, _ = await self.send(server, "refresh", tokens, "the-key-of-a-probe")
        secure, _ = await self.send(server, "secure", tokens)
        return refresh.status == 200 or refresh.status == secure.status == 401

    def any(self) -> str:
        """The name of one of the servers."""
        return self._draw.choice(self.names)

    async def until_answered(
        self,
        verb: Verb,
        tokens: Tokens | None = None,
        key: str | None = None,
        copies: int = 1,
    ) -> tuple[Call, Tokens | None]:
        """The answer, from whichever server; what comes of a refused token is none."""
        attempts = 0
        while True:
            sent = [self.send(self.any(), verb, tokens, key) for _ in range(copies)]
            answers = await asyncio.gather(*sent)
            answers.sort(key=lambda answer: answer[0].status != 200)
            for call, successor in answers:
                if call.status not in {0, 503}:
                    self.healed += bool(attempts and call.status == 200)
                    return call, successor
            await asyncio.sleep(min(BACK_OFF * 2 ** min(attempts, 16), BACK_OFF_MAX))
            attempts += 1

    async def send(
        self,
        server: str,
        verb: Verb,
        tokens: Tokens | None = None,
        key: str | None = None,
    ) -> tuple[Call, Tokens | None]:
        """One request, noted, and the tokens that came back."""
        call = Call(server=server, verb=verb, began=time.monotonic(), key=key)
        if tokens is not None:
            call.session, call.generation = tokens.session, tokens.generation
        self.calls.append(call)
        try:
            answer = await self._ask(self._apis[server], verb, tokens, key)
        except httpx2.TransportError:
            return call, None
        call.ended = time.monotonic()
        call.status, call.code = answer.status_code, code_of(answer)
        call.retry_after = "retry-after" in answer.headers
        self._answers[call.status] += 1
        self._more.set()
        return call, _received(call, answer)

    async def _ask(
        self, api: Api, verb: Verb, tokens: Tokens | None, key: str | None
    ) -> httpx2.Response:
        if tokens is None:
            return await api.try_login("admin", PASSWORD)
        match verb:
            case "logout":
                return await api.logout(tokens.refresh)
            case "secure":
                return await api.secure(tokens.access)
            case _:
                return await api.refresh(tokens.refresh, key)


def _received(call: Call, answer: httpx2.Response) -> Tokens | None:
    if call.status != 200 or call.verb in {"logout", "secure"}:
        return None
    body: dict[str, Any] = answer.json()
    tokens = Tokens(body["refreshToken"], body["accessToken"])
    call.session = tokens.session
    call.successor, call.grown = tokens.refresh, tokens.generation
    return tokens


@asynccontextmanager
async def load(
    servers: Sequence[Server], *, seed: int, clients: int = 8, mix: Mix = USUAL
) -> AsyncIterator[Load]:
    """Clients of these servers; they have signed in, and end well when this ends."""
    async with AsyncExitStack() as stack:
        apis = {
            server.name: Api(
                await stack.enter_async_context(
                    httpx2.AsyncClient(
                        base_url=server.url, trust_env=False, timeout=PATIENCE
                    )
                )
            )
            for server in servers
        }
        made = Load(apis, seed, mix)
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                made.add_client(group)
            await made.answers(clients)
            yield made
            await made.finish()
