"""What a serving process does by itself: follow, rotate, sweep, send mail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Final

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.steadiness import Steadiness
from watchword.core.turns import Turns
from watchword.keys.ring import KeyRing
from watchword.mail.sender import MailSender
from watchword.metrics.measured import Measured
from watchword.ports.backend import Backend
from watchword.ports.once import ReplayCache
from watchword.revocation.log import RevocationLog
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions.groups import Groups
from watchword.webhooks.sender import WebhookSender

_LOG_EVERY: Final = 100_000
_log = logging.getLogger("watchword")


class Maintenance:
    """The tasks of one process, each at its interval."""

    def __init__(
        self,
        *,
        backend: Backend,
        once: ReplayCache,
        keys: KeyRing,
        revocations: RevocationTracker,
        revocation_log: RevocationLog,
        groups: Groups,
        mail: MailSender | None,
        webhooks: WebhookSender,
        turns: Mapping[str, Turns],
        measured: Measured | None,
        clock: Clock,
        monotonic: Callable[[], int],
    ) -> None:
        self._backend = backend
        self._once = once
        self._keys = keys
        self._revocations = revocations
        self._revocation_log = revocation_log
        self._groups = groups
        self._mail = mail
        self._webhooks = webhooks
        self._turns = turns
        self._measured = measured
        self._clock = clock
        self._monotonic = monotonic
        self._steadiness = Steadiness(clock(), monotonic())

    async def run(self) -> None:
        """Follow feed and keys, rotate keys, sweep and send mail, until cancelled."""
        tasks: list[tuple[int, Callable[[], Awaitable[None]], str]] = [
            (limits.FEED_POLL, self._revocations.follow, "feed"),
            (limits.FEED_POLL, self._groups.finish, "groups"),
            (limits.KEY_POLL, self._keys.refresh, "keys"),
            (limits.SWEEP_EVERY, self._keys.maintain, "rotation"),
            (limits.SWEEP_EVERY, self.sweep, "sweep"),
            (limits.WEBHOOK_POLL, self._webhooks.send_due, "webhooks"),
        ]
        if self._mail is not None:
            tasks.append((limits.MAIL_POLL, self._mail.send_due, "mail"))
        if self._measured is not None:
            levels, figures = self._measured
            tasks += [
                (limits.LEVELS_EVERY, levels.write, "metrics"),
                (limits.PROCESS_EVERY, levels.write_process, "metrics of the system"),
                (limits.STATS_EVERY, figures.write, "figures"),
            ]
        async with asyncio.TaskGroup() as group:
            for period, work, what in tasks:
                group.create_task(_every(period, work, what, self._turns[what]))

    async def sweep(self) -> None:
        """Delete what is over, in small steps. One process does it per interval."""
        now = self._clock()
        self._revocations.forget_expired()
        self._revocation_log.forget_expired(now)
        if not self._steadiness.is_steady(now, self._monotonic()):
            return  # this clock may be wrong: another process sweeps
        turn = b"sweep %d" % (now // limits.SWEEP_EVERY)
        # The first process to use this key sweeps. If it dies, another process sweeps
        # at the next interval.
        if not all(await self._once.use_once([(turn, now + limits.HOUR)])):
            return
        limit, swept, logged = limits.SWEEP_LIMIT, 0, 0
        while (step := await self._backend.sweep(self._clock(), limit)) >= limit:
            swept += step
            if swept - logged >= _LOG_EVERY:
                logged = swept
                _log.info("sweep: %d rows deleted so far", swept)
            await asyncio.sleep(0.05)  # lets refreshes pass


async def _every(
    period: int, work: Callable[[], Awaitable[None]], what: str, turns: Turns
) -> None:
    """Do the work once per period (ms). A failure is logged; the next turn tries again.

    `what` names the work in the log. Each turn is noted in `turns`. Never returns: it
    is ended by cancelling it.
    """
    failing = False
    while True:
        await asyncio.sleep(period / limits.SECOND)
        begun = perf_counter()
        try:
            await work()
        except Exception:  # noqa: BLE001 - logged, and the next turn tries again
            if not failing:  # logged once per outage, not four times a second
                _log.exception("%s: failed, and tried again until it works", what)
            failing = True
        else:
            if failing:
                _log.warning("%s: works again", what)
            failing = False
        turns.note(perf_counter() - begun, failed=failing)
