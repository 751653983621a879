"""Health: how each part of this process does, and the settings in effect.

It answers whatever is away. A part that does not answer in time is shown as such.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from time import perf_counter
from typing import Final

import msgspec

from watchword.admin.mail import waiting_in
from watchword.clocks import Clock
from watchword.config import Settings
from watchword.config.effective import EffectiveSetting, effective_settings
from watchword.core import limits
from watchword.core.steadiness import Steadiness
from watchword.core.turns import Turns
from watchword.errors import WatchwordError
from watchword.keys.ring import KeyRing
from watchword.mail.url import parse_mail_url
from watchword.passwords import HashParameters, PasswordHasher
from watchword.passwords.hasher import QUEUE_LIMIT
from watchword.ports import Stores
from watchword.ports.keys import KeyState
from watchword.revocation.log import RevocationLog
from watchword.revocation.tracker import RevocationTracker
from watchword.webhooks.registry import Webhooks

_TIMEOUT: Final = 2.0
"""Seconds in which a part has to answer."""

_LATE: Final = 10 * limits.MINUTE
"""How long the oldest message may wait before that is a warning."""

_STORES: Final = {
    "memory": "Memory",
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "rediss": "Redis by TLS",
    "redis+cluster": "Redis Cluster",
}
_log = logging.getLogger("watchword.admin")


class PartState(StrEnum):
    """How a part does."""

    GOOD = "good"
    WARNING = "warning"
    FAILING = "failing"
    OFF = "off"
    """It is not set up."""


class Part(msgspec.Struct, frozen=True):
    """A part, how it does, and what was seen of it, in English.

    `slowest` is the longest of its last hundred turns in this process, in seconds; None
    where none was measured.
    """

    name: str
    state: PartState
    seen: str
    slowest: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The parts, and the settings in effect. `since` is when the process began (ms)."""

    workers: int
    since: int
    parts: Sequence[Part]
    settings: Sequence[EffectiveSetting]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. `check` raises unless the store can be read and written.

    `turns` are those of the work in the background, by its name.
    """

    stores: Stores
    check: Callable[[], Awaitable[None]]
    revocations: RevocationTracker
    revocation_log: RevocationLog
    hasher: PasswordHasher
    hashing: HashParameters
    keys: KeyRing
    webhooks: Webhooks
    turns: Mapping[str, Turns]
    settings: Callable[[], Settings]
    secrets: int


class HealthAdmin:
    """Looks at every part of this process."""

    def __init__(
        self, watched: Watched, *, clock: Clock, monotonic: Callable[[], int]
    ) -> None:
        self._watched = watched
        self._clock = clock
        self._monotonic = monotonic
        self._since = clock()
        self._steadiness = Steadiness(self._since, monotonic())
        # Not those of the work in the background, which may fail meanwhile.
        self._reads = Turns()

    async def report(self) -> Report:
        """How everything does. Raises nothing, whatever is away."""
        settings = self._watched.settings()
        checks = {
            "store": self._store,
            "session store": self._session_store,
            "feed": self._feed,
            "hashing": self._hashing,
            "mail": self._mail,
            "webhooks": self._webhooks,
            "keys": self._keys,
            "clock": self._clocks,
        }
        parts = [self._looked_at(name, check) for name, check in checks.items()]
        return Report(
            workers=settings.workers,
            since=self._since,
            parts=await asyncio.gather(*parts),
            settings=effective_settings(settings, secrets=self._watched.secrets),
        )

    async def _looked_at(
        self, name: str, check: Callable[[], Awaitable[tuple[PartState, str]]]
    ) -> Part:
        try:
            async with asyncio.timeout(_TIMEOUT):
                state, seen = await check()
        except (WatchwordError, TimeoutError):
            state, seen = PartState.FAILING, "does not answer"
        except Exception:  # noqa: BLE001 - the other parts are still to be shown
            _log.exception("health: %s", name)
            state, seen = PartState.FAILING, "failed: the log says how"
        slowest = None if state is PartState.OFF else self._slowest(name)
        return Part(name, state, seen, slowest)

    def _slowest(self, name: str) -> float | None:
        if name == "hashing":
            return self._watched.hasher.turns.slowest
        turns = [self._watched.turns.get(_TURNS.get(name, name))]
        if name == "store":
            turns.append(self._reads)
        found = [one.slowest for one in turns if one is not None]
        return max((one for one in found if one is not None), default=None)

    async def _store(self) -> tuple[PartState, str]:
        settings = self._watched.settings()
        begun = perf_counter()
        await self._watched.stores.keys.load()
        self._reads.note(perf_counter() - begun)
        if settings.session_store_url is None:
            await self._watched.check()
        return PartState.GOOD, f"{_kind(settings.database_url)} answers"

    async def _session_store(self) -> tuple[PartState, str]:
        url = self._watched.settings().session_store_url
        if url is None:
            return PartState.OFF, "sessions are in the store"
        await self._watched.stores.sessions.load([bytes(16)])
        await self._watched.check()
        return PartState.GOOD, f"{_kind(url)} answers"

    async def _feed(self) -> tuple[PartState, str]:
        age, followers = self._watched.revocations.age, self._watched.revocation_log
        if age is None:
            return PartState.FAILING, "never read"
        seen = f"{age / limits.SECOND:.1f} s old, {followers.followers} followers"
        is_current = self._watched.revocations.is_current()
        return PartState.GOOD if is_current else PartState.FAILING, seen

    async def _hashing(self) -> tuple[PartState, str]:
        waiting, cost = self._watched.hasher.waiting, self._watched.hashing
        state = PartState.WARNING if waiting * 2 >= QUEUE_LIMIT else PartState.GOOD
        queue = f"{waiting} wait" if waiting else "no queue"
        return state, f"{queue}; argon2id, {cost.memory_kib // 1024} MiB"

    async def _mail(self) -> tuple[PartState, str]:
        url = self._watched.settings().effective_mail_url
        if url is None:
            return PartState.OFF, "no mail can be sent"
        server = parse_mail_url(url)
        waiting, since = await waiting_in(self._watched.stores.outbox)
        seen = "a folder of files" if server is None else f"{server.host}:{server.port}"
        if since is None:
            return self._working("mail"), f"{seen}, none waits"
        age = max(0, self._clock() - since)
        seen += f", {waiting} wait, the oldest for {age // limits.SECOND} s"
        return PartState.WARNING if age > _LATE else self._working("mail"), seen

    async def _webhooks(self) -> tuple[PartState, str]:
        rows = await self._watched.webhooks.list()
        if not rows:
            return PartState.OFF, "there are none"
        failing = [
            row.webhook.failing_since
            for row in rows
            if row.webhook.failing_since is not None and not row.webhook.disabled
        ]
        waiting = sum(row.waiting for row in rows)
        if failing:
            since = _minute(min(failing))
            return (
                PartState.WARNING,
                f"{len(failing)} of {len(rows)} fail since {since}",
            )
        return self._working("webhooks"), f"{len(rows)}, {waiting} deliveries wait"

    async def _keys(self) -> tuple[PartState, str]:
        _ = self._watched.keys.active
        due = [
            row.changed_at + limits.KEY_ROTATION
            for row in self._watched.keys.rows
            if row.state is KeyState.ACTIVE
        ]
        is_late = min(due) + limits.DAY < self._clock()
        state = PartState.WARNING if is_late else self._working("keys")
        return state, f"next rotation {_minute(min(due))}"

    async def _clocks(self) -> tuple[PartState, str]:
        if self._steadiness.is_steady(self._clock(), self._monotonic()):
            return PartState.GOOD, "was not set while this process ran"
        return PartState.WARNING, "was set lately: nothing is swept for a while"

    def _working(self, name: str) -> PartState:
        """Whether the work of that name in the background is done."""
        turns = self._watched.turns.get(name)
        failing = turns is not None and turns.is_failing
        return PartState.FAILING if failing else PartState.GOOD


_TURNS: Final = {"store": "keys", "session store": "feed"}
"""The work in the background that says how long a part takes, by its name."""


def _kind(url: str) -> str:
    scheme = url.partition(":")[0]
    return _STORES.get(scheme, scheme)


def _minute(instant: int) -> str:
    moment = datetime.fromtimestamp(instant // limits.SECOND, UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"
