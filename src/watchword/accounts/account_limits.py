"""How often a user may change the account: by name, by password, by address."""

from __future__ import annotations

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.throttle import Cost
from watchword.errors import Throttled
from watchword.ports.throttle import Throttle


class AccountLimits:
    """Counts what users do to their accounts, each kind by itself.

    A name that was let go is held, a change is told by mail, and of two changes at once
    one has to begin anew. So without a count one user could take all names, keep the
    mail of all others waiting, and keep the owner of a stolen account from resetting
    its password.
    """

    def __init__(self, throttle: Throttle, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock

    async def changing(self, account_id: bytes, what: str) -> None:
        """Count a change of that kind. Raises Throttled."""
        cost = Cost(
            f"change:{what}:{account_id.hex()}",
            limits.ACCOUNT_CHANGE_BURST,
            limits.ACCOUNT_CHANGE_INTERVAL,
        )
        if wait := await self._throttle.take([cost], self._clock()):
            message = "The account was changed too often: try again later."
            raise Throttled(message, retry_after=wait // limits.SECOND + 1)
