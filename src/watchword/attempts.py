"""Sign-in attempts: counted before they are made, given back unless they failed.

They are counted first, so that parallel attempts cannot pass the limit. Only a wrong
name or password stays counted: not a success, not a fault of the server, and not a
request that was cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.throttle import Cost
from watchword.errors import InvalidCredentials, Throttled, TryAgain
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.throttle import Throttle


class Attempt(msgspec.Struct):
    """One try. `caller` names the network that it comes from, to share work fairly.

    A way in sets `account_id` as soon as it knows the account: if the try fails, the
    audit log names it.
    """

    caller: str
    account_id: bytes | None = None


class Attempts:
    """Counts the attempts of every way in, by the counters of the throttle."""

    def __init__(
        self,
        *,
        throttle: Throttle,
        audit: AuditLog,
        background: Background,
        clock: Clock,
    ) -> None:
        self._throttle = throttle
        self._events = AuditLimit(audit.record)
        self._background = background
        self._clock = clock

    @contextlib.asynccontextmanager
    async def counted(
        self, name: str, address: str, *, account: str = ""
    ) -> AsyncIterator[Attempt]:
        """A block that is one attempt. It has failed if it raises InvalidCredentials.

        `name` is normalised. `account` is what the attempt is counted by besides,
        where a user has several names. A success sets their counters back to zero, a
        failure is recorded. Raises Throttled, Overloaded, StoreUnavailable.
        """
        now = self._clock()
        costs = throttle_costs(name, address, account)
        taking = asyncio.ensure_future(self._throttle.take(costs, now))
        try:
            # The store counts the attempt even if the request is cancelled now. Its
            # answer is needed to know what has to be undone.
            wait = await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._give_back(costs, taking)
            raise
        if wait:
            kind = EventType.SIGN_IN_THROTTLED
            event = Event(type=kind, at=now, address=address)
            await self._events.record(event, *(cost.key for cost in costs))
            raise Throttled(retry_after=wait // 1000 + 1)
        of_network = costs[0].key
        attempt = Attempt(of_network)
        try:
            yield attempt
        except InvalidCredentials:
            await self._record_failure(attempt, address, now)
            raise
        except BaseException:
            # The caller has its error already and does not wait: what failed may be the
            # store, and then giving back would take long too.
            self._give_back(costs, taking)
            raise
        # If the request is cancelled now, this goes on in the background: the attempt
        # is given back exactly once.
        forget = [cost.key for cost in costs[1:]]
        await self._give_back(costs, taking, forget=forget)

    async def _record_failure(self, attempt: Attempt, address: str, now: int) -> None:
        event = Event(
            type=EventType.SIGN_IN_FAILED,
            at=now,
            # The name is not recorded, because people sometimes type their password
            # into that field.
            account_id=attempt.account_id,
            address=address,
        )
        await self._events.record(event)

    def _give_back(
        self,
        costs: Sequence[Cost],
        taking: asyncio.Future[int],
        *,
        forget: Sequence[str] = (),
    ) -> asyncio.Future[None]:
        async def work() -> None:
            try:
                wait = await taking
            except TryAgain:
                return  # it may not have been counted: nothing is given back
            if not wait:
                await self._throttle.give_back(costs, forget=forget)

        return self._background.start(work, "giving back a sign-in attempt")


def throttle_costs(name: str, address: str, account: str = "") -> list[Cost]:
    """The counters of one attempt: of its network, its name, and its account if given.

    A name is counted whether or not there is such an account. IPv6 addresses are
    counted by /64, because that is what one customer of a provider has.
    """
    of_user = [f"name:{_hashed(name)}"]
    if account:
        of_user.append(f"account:{_hashed(account)}")
    rate = limits.THROTTLE_NAME_BURST, limits.THROTTLE_NAME_INTERVAL
    of_network = Cost(
        f"address:{caller_of(address)}",
        limits.THROTTLE_ADDRESS_BURST,
        limits.THROTTLE_ADDRESS_INTERVAL,
    )
    return [of_network, *(Cost(key, *rate) for key in of_user)]


def factor_counters(account_id: bytes) -> list[str]:
    """The counters of a user's wrong second factors: a success forgets them."""
    subject = account_id.hex()
    return [f"factor:{subject}", f"factor-failures:{subject}"]


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
