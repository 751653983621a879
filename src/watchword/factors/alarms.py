"""Notices of wrong second factors: their owner may have a password to change."""

from __future__ import annotations

from watchword.attempts import in_a_row, told_of_lock
from watchword.background import Background, wait_briefly
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.throttle import Cost
from watchword.mail.message import MailPurpose
from watchword.notices import FactorNotices
from watchword.ports.outbox import Outbox
from watchword.ports.throttle import Throttle


class FactorAlarms:
    """Tells users of wrong factors, as seldom as the throttle allows."""

    def __init__(
        self,
        *,
        throttle: Throttle,
        outbox: Outbox,
        notices: FactorNotices,
        background: Background,
        clock: Clock,
    ) -> None:
        self._throttle = throttle
        self._outbox = outbox
        self._notices = notices
        self._background = background
        self._clock = clock

    async def failed(self, account_id: bytes, address: str, *, is_locked: bool) -> None:
        """Note a wrong factor, and tell of the third in a row, and of the lock.

        Raises StoreUnavailable.
        """
        if is_locked and not await self._wait(told_of_lock(account_id)):
            await self._tell(account_id, MailPurpose.FACTOR_LOCKED, address)
        if not await self._wait(in_a_row(account_id)):
            return
        rate = Cost(f"factor-told:{account_id.hex()}", 1, limits.FACTOR_TOLD_INTERVAL)
        if not await self._wait(rate):
            await self._tell(account_id, MailPurpose.FACTOR_FAILED, address)

    async def _wait(self, cost: Cost) -> int:
        return await self._throttle.take([cost], self._clock())

    async def _tell(
        self, account_id: bytes, purpose: MailPurpose, address: str
    ) -> None:
        async def work() -> None:
            mails = await self._notices.of(account_id, purpose, network=address)
            await self._outbox.add(mails)

        self._notices.told(account_id, purpose)
        await wait_briefly(self._background.start(work, "telling of wrong factors"))
