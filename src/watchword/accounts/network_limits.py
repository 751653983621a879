"""How often one network may register, ask for mail, and confirm."""

from __future__ import annotations

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.throttle import Cost
from watchword.errors import Throttled
from watchword.ports.throttle import Throttle


class NetworkLimits:
    """Counts the calls of accounts that need no sign-in, before any of their work."""

    def __init__(self, throttle: Throttle, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock

    async def registering(self, address: str) -> None:
        """Count a registration from that network address. Raises Throttled."""
        await self._count(
            Cost(
                f"register:{caller_of(address)}",
                limits.REGISTER_BURST,
                limits.REGISTER_INTERVAL,
            )
        )

    async def asking(self, address: str) -> None:
        """Count a request for another mail. Raises Throttled."""
        await self._count(
            Cost(f"ask:{caller_of(address)}", limits.ASK_BURST, limits.ASK_INTERVAL)
        )

    async def confirming(self, address: str) -> None:
        """Count a try to use a token of a mail. Raises Throttled."""
        await self._count(
            Cost(
                f"confirm:{caller_of(address)}",
                limits.CONFIRM_BURST,
                limits.CONFIRM_INTERVAL,
            )
        )

    async def guessing(self, registration: bytes) -> None:
        """Count a password that was given for a registration. Raises Throttled.

        From whatever network: its mail may have gone to a mailbox that is not the
        asker's, and a password is often used elsewhere too.
        """
        await self._count(
            Cost(
                f"registration:{registration.hex()}",
                limits.THROTTLE_NAME_BURST,
                limits.THROTTLE_NAME_INTERVAL,
            )
        )

    async def _count(self, cost: Cost) -> None:
        wait = await self._throttle.take([cost], self._clock())
        if wait:
            message = "Too many requests: try again later."
            raise Throttled(message, retry_after=wait // limits.SECOND + 1)
