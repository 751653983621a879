"""How often callers may register, ask for mail, use tokens, and change accounts."""

from __future__ import annotations

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.throttle import Cost
from watchword.errors import Throttled
from watchword.ports.throttle import Throttle


class AccountLimits:
    """Counts the calls by which accounts serve themselves, before any of their work.

    Calls that need no sign-in are counted by the network of their `address`. What a
    user changes is counted by account, each kind by itself. A name that was let go is
    held, a change is told by mail, and of two changes at once one has to begin anew. So
    without a count one user could take all names, keep the mail of all others waiting,
    and keep the owner of a stolen account from resetting its password.
    """

    def __init__(self, throttle: Throttle, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock

    async def registering(self, address: str) -> None:
        """Count a registration. Raises Throttled."""
        rate = limits.REGISTER_BURST, limits.REGISTER_INTERVAL
        await self._count(Cost(f"register:{caller_of(address)}", *rate))

    async def asking(self, address: str) -> None:
        """Count a request for another mail. Raises Throttled."""
        rate = limits.ASK_BURST, limits.ASK_INTERVAL
        await self._count(Cost(f"ask:{caller_of(address)}", *rate))

    async def confirming(self, address: str) -> None:
        """Count a try to use a token of a mail. Raises Throttled."""
        rate = limits.CONFIRM_BURST, limits.CONFIRM_INTERVAL
        await self._count(Cost(f"confirm:{caller_of(address)}", *rate))

    async def guessing(self, registration: bytes) -> None:
        """Count a password that was given for a registration. Raises Throttled.

        From whatever network: its mail may have gone to a mailbox that is not the
        asker's, and a password is often used elsewhere too.
        """
        rate = limits.THROTTLE_NAME_BURST, limits.THROTTLE_NAME_INTERVAL
        await self._count(Cost(f"registration:{registration.hex()}", *rate))

    async def changing(self, account_id: bytes, what: str) -> None:
        """Count a change of that kind. Raises Throttled."""
        rate = limits.ACCOUNT_CHANGE_BURST, limits.ACCOUNT_CHANGE_INTERVAL
        await self._count(
            Cost(f"change:{what}:{account_id.hex()}", *rate),
            "The account was changed too often: try again later.",
        )

    async def _count(
        self, cost: Cost, message: str = "Too many requests: try again later."
    ) -> None:
        wait = await self._throttle.take([cost], self._clock())
        if wait:
            raise Throttled(message, retry_after=wait // limits.SECOND + 1)
