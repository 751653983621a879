"""What the stories are told with: a clock, a store that fails on demand, an engine.

`World` is one process's engine over a store; a second one over the same store is
another worker, or the same one after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import pytest

from watchword.background import Background
from watchword.clocks import Entropy
from watchword.core.actor import EndReason
from watchword.core.limits import SWEEP_LIMIT
from watchword.core.policies import Policies
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import (
    STRICT,
    Authenticated,
    Policy,
    Session,
    SessionOptions,
    TokenSet,
)
from watchword.errors import StoreUnavailable, WatchwordError
from watchword.keys.ring import KeyRing
from watchword.keys.vault import derive
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import ById, SessionStore
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions import Sessions
from watchword.sessions.claims_hook import ClaimsHook
from watchword.testing import ManualClock, SeededEntropy
from watchword.verify import Checker

EMBEDDED = ("memory", "sqlite")
"""Where the rule is tried: the stores asked without an exchange over the network."""

ON_EVERY_STORE = pytest.mark.parametrize(
    "kind", [*EMBEDDED, "postgresql-16", "valkey-9"], indirect=True
)
"""For a story whose outcome is decided in the store.

Which of several callers was first, which processes learn of an end, what a process that
died has left behind.
"""

ISSUER = "https://auth.example"
AUDIENCE = "api"
CLIENT = "first-party"
SECRET = b"the-server-secret-of-these-tests-0123456789"
ALICE = b"alice-id-16bytes"
BOB = b"bob---id-16bytes"
VICTIM = "192.0.2.1"
THIEF = "203.0.113.9"


class Faulty:
    """A store of sessions whose next calls fail, or stop, where a test says so."""

    def __init__(self, sessions: SessionStore) -> None:
        self.real = sessions
        self.is_remote = sessions.is_remote
        self.before: dict[str, list[Exception | None]] = {}
        self.after: dict[str, list[Exception | None]] = {}
        self.pause_before: dict[str, asyncio.Event] = {}
        self.pause_after: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []

    def fail_before(
        self,
        verb: str,
        error: Exception | None = None,
        *,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """The next calls of `verb` but the first few fail, having done nothing."""
        fault = error or StoreUnavailable()
        self.before[verb] = [*[None] * skip, *[fault] * times]

    def fail_after(self, verb: str, *, times: int = 1) -> None:
        """The next calls of `verb` are committed, and their answer is lost."""
        self.after[verb] = [StoreUnavailable()] * times

    def stop_after(self, verb: str) -> tuple[asyncio.Event, asyncio.Event]:
        """The next call commits, then waits: (it is there, let it go on)."""
        self.reached[verb], self.pause_after[verb] = asyncio.Event(), asyncio.Event()
        return self.reached[verb], self.pause_after[verb]

    def stop_before(self, verb: str) -> tuple[asyncio.Event, asyncio.Event]:
        """The next call waits before it does anything: (it is there, let it go on)."""
        self.reached[verb], self.pause_before[verb] = asyncio.Event(), asyncio.Event()
        return self.reached[verb], self.pause_before[verb]

    def __getattr__(self, verb: str) -> Any:
        inner: Callable[..., Awaitable[Any]] = getattr(self.real, verb)

        async def call(*args: Any, **named: Any) -> Any:
            self.calls.append(verb)
            if verb in self.pause_before:
                go_on = self.pause_before.pop(verb)
                self.reached[verb].set()
                await go_on.wait()
            _raise_next(self.before, verb)
            result = await inner(*args, **named)
            if verb in self.pause_after:
                go_on = self.pause_after.pop(verb)
                self.reached[verb].set()
                await go_on.wait()
            _raise_next(self.after, verb)
            return result

        return call


def _raise_next(faults: dict[str, list[Exception | None]], verb: str) -> None:
    waiting = faults.get(verb)
    fault = waiting.pop(0) if waiting else None
    if fault is not None:
        raise fault


class World:
    """One process: sessions, keys, revocations and a verifier over a store."""

    def __init__(
        self,
        stores: Stores,
        clock: ManualClock,
        *,
        policy: Policy = STRICT,
        secrets: Sequence[bytes] = (SECRET,),
        seed: str = "",
        claims_hook: ClaimsHook | None = None,
        sessions_max: int | None = None,
    ) -> None:
        self.stores = stores
        self.clock = clock
        self.monotonic = ManualClock(0)
        self.policy = policy
        entropy: Entropy = SeededEntropy(seed)
        self.tokens = RefreshTokens(
            [derive(one, "refresh-token-mac") for one in secrets]
        )
        self.keys = KeyRing(
            keys=stores.keys, secrets=secrets, alg="ES256", clock=clock, entropy=entropy
        )
        self.revocations = RevocationTracker(
            sessions=stores.sessions, clock=clock, monotonic=self.monotonic
        )
        self.sessions = Sessions(
            background=Background(),
            sessions=stores.sessions,
            audit=stores.audit,
            tokens=self.tokens,
            keys=self.keys,
            revocations=self.revocations,
            policies=Policies(policy),
            issuer=ISSUER,
            clock=clock,
            entropy=entropy,
            claims_hook=claims_hook,
            sessions_max=sessions_max,
        )
        self.checker = Checker(
            issuer=ISSUER,
            audience=AUDIENCE,
            key_of=self.keys.public_key,
            has_ended=self.revocations.has_ended,
            clock=clock,
        )

    async def start(self) -> Self:
        await self.keys.start()
        await self.revocations.follow()
        return self

    async def sign_in(
        self, account_id: bytes = ALICE, roles: tuple[str, ...] = (), **options: Any
    ) -> TokenSet:
        user = Authenticated.by_password(account_id, roles, at=self.clock())
        requested = SessionOptions(client_id=CLIENT, **options)
        return await self.sessions.start(user, requested, address=VICTIM)

    async def refresh(
        self,
        token: str | TokenSet,
        key: str | None = None,
        *,
        address: str = VICTIM,
        client_id: str = CLIENT,
    ) -> TokenSet:
        text = token if isinstance(token, str) else token.refresh_token
        cookie = not isinstance(token, str) and token.session.cookie
        return await self.sessions.refresh(
            text, client_id=client_id, retry_key=key, address=address, cookie=cookie
        )

    async def outcome(
        self, token: str | TokenSet, key: str | None = None, *, address: str = VICTIM
    ) -> str:
        """The successor's text, or the code of the refusal."""
        try:
            return (await self.refresh(token, key, address=address)).refresh_token
        except WatchwordError as error:
            return error.code

    async def goes_on(self, token: str | TokenSet) -> bool:
        """Whether it was answered with a successor."""
        return (await self.outcome(token)).startswith("ww_rt_")

    async def row(self, tokens: TokenSet) -> Session:
        (row,) = await self.stores.sessions.load([tokens.session.id])
        assert isinstance(row, Session)
        return row

    async def events(self, *kinds: EventType) -> list[Event]:
        found = [event for _, event in await self.stores.audit.read(0, 100_000)]
        return [event for event in found if not kinds or event.type in kinds]

    def accepts(self, tokens: TokenSet | str) -> str:
        """`ok`, or the code with which the access token is refused here."""
        token = tokens if isinstance(tokens, str) else tokens.access_token
        try:
            self.checker.verify(token)
        except WatchwordError as error:
            return error.code
        return "ok"

    async def sweep(self) -> int:
        """One step of a sweep."""
        return await self.stores.backend.sweep(self.clock(), SWEEP_LIMIT)

    async def sweep_everything(self) -> int:
        """Sweep until there has been nothing for as long as a whole walk takes."""
        total, idle = 0, 0
        while idle < 3:
            swept = await self.sweep()
            total, idle = total + swept, 0 if swept else idle + 1
        return total

    async def logout(self, tokens: TokenSet) -> int:
        return await self.sessions.revoke(ById(tokens.session.id), EndReason.LOGOUT)


def key(number: int = 0) -> str:
    """A retry key, as a client would draw one."""
    return f"retry-key-{number:010d}"


async def settle(stores: Stores) -> None:
    """Let everything that is ready run: retries are recorded in the background."""
    for _ in range(20):
        await asyncio.sleep(0)
    await stores.throttle.give_back(
        []
    )  # writes are made in order: what came before is there


def generation_of(world: World, token: str) -> int:
    return world.tokens.read(token)[1]


__all__ = [
    "ALICE",
    "AUDIENCE",
    "BOB",
    "CLIENT",
    "EMBEDDED",
    "ISSUER",
    "ON_EVERY_STORE",
    "SECRET",
    "THIEF",
    "VICTIM",
    "Faulty",
    "World",
    "generation_of",
    "key",
    "settle",
]
