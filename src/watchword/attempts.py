"""Attempts to sign in: counted before they are made, given back unless they failed.

They are counted first, so that parallel attempts cannot pass the limit. Only a wrong
name, password or second factor stays counted: not a success, not a fault of the server,
and not a request that was cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.throttle import Cost
from watchword.errors import (
    InvalidCredentials,
    SecondFactorInvalid,
    Throttled,
    TryAgain,
    WatchwordError,
)
from watchword.metrics import Metrics
from watchword.metrics.catalog import Counter
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.throttle import Throttle


class Attempt(msgspec.Struct):
    """One try. `caller` names the network that it comes from, to share work fairly.

    A way in sets `account_id` as soon as it knows the account: if the try fails, the
    audit log names it.
    """

    caller: str
    account_id: bytes | None = None
    is_locked: bool = False
    """Whether it must fail, whatever the code: there were a hundred wrong ones."""


class _Kind(msgspec.Struct, frozen=True):
    """What a failed attempt raises, which event is written of it, and its method."""

    failure: type[WatchwordError]
    event: EventType
    method: str


_SIGN_IN: Final = _Kind(InvalidCredentials, EventType.SIGN_IN_FAILED, "password")
_FACTOR: Final = _Kind(SecondFactorInvalid, EventType.FACTOR_FAILED, "second_factor")
_PASSKEY: Final = _Kind(SecondFactorInvalid, EventType.FACTOR_FAILED, "passkey")


class _Counted(msgspec.Struct, frozen=True):
    """The counters that an attempt is in, or how long (ms) it would have to wait."""

    costs: Sequence[Cost]
    wait: int
    is_locked: bool = False


class Attempts:
    """Counts the attempts of every way in, by the counters of the throttle."""

    def __init__(
        self,
        *,
        throttle: Throttle,
        audit: AuditLog,
        background: Background,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
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
        costs = throttle_costs(name, address, account)
        attempt = Attempt(costs[0].key)
        forget = [cost.key for cost in costs[1:]]
        async with self._attempted(_SIGN_IN, attempt, costs, address, forget=forget):
            yield attempt

    @contextlib.asynccontextmanager
    async def factor(
        self,
        account_id: bytes | None,
        address: str,
        *,
        forget: bool = True,
        of_code: bool = False,
        alone: bool = False,
    ) -> AsyncIterator[Attempt]:
        """A block that is one attempt with a second factor, whatever the way in.

        It has failed if it raises SecondFactorInvalid. `account_id` is None as long as
        the user is not known. With `forget`, a success sets the counters of the account
        back to zero. With `of_code`, it is a try of one of the few codes that an app
        can show: after a hundred of them `is_locked` is true, and the block MUST fail.
        `alone` says that no other factor was proved before: that of a passkey.
        Raises Throttled, StoreUnavailable.
        """
        costs = factor_costs(account_id, address)
        attempt = Attempt(costs[0].key, account_id)
        many = forgotten = None
        if account_id is not None:
            many = _failures(account_id) if of_code else None
            forgotten = factor_counters(account_id) if forget else None
        async with self._attempted(
            _PASSKEY if alone else _FACTOR,
            attempt,
            costs,
            address,
            many=many,
            forget=forgotten or (),
        ):
            yield attempt

    @contextlib.asynccontextmanager
    async def _attempted(
        self,
        kind: _Kind,
        attempt: Attempt,
        costs: Sequence[Cost],
        address: str,
        *,
        many: Cost | None = None,
        forget: Sequence[str] = (),
    ) -> AsyncIterator[None]:
        """A block that is counted by `costs`, and by `many` while that has room."""
        now = self._clock()
        counting = asyncio.ensure_future(self._count(costs, many, now))
        try:
            # The store counts the attempt even if the request is cancelled now. Its
            # answer is needed to know what has to be undone.
            counted = await asyncio.shield(counting)
        except asyncio.CancelledError:
            self._give_back(counting)
            raise
        if counted.wait:
            self._metrics.count(Counter.SIGN_INS, kind.method, "throttled")
            event = Event(
                type=EventType.SIGN_IN_THROTTLED,
                at=now,
                account_id=attempt.account_id,
                address=address,
            )
            await self._events.record(event, *(cost.key for cost in costs))
            raise Throttled(retry_after=counted.wait // limits.SECOND + 1)
        attempt.is_locked = counted.is_locked
        try:
            yield
        except kind.failure:
            self._metrics.count(Counter.SIGN_INS, kind.method, "failed")
            # The name is not recorded, because people sometimes type their password
            # into that field.
            event = Event(
                type=kind.event,
                at=now,
                account_id=attempt.account_id,
                address=address,
                detail={"is_locked": True} if attempt.is_locked else {},
            )
            await self._events.record(event)
            raise
        except BaseException:
            # The caller has its error already and does not wait: what failed may be the
            # store, and then giving back would take long too.
            self._give_back(counting)
            raise
        # If the request is cancelled now, this goes on in the background: the attempt
        # is given back exactly once.
        await self._give_back(counting, forget=forget)

    async def _count(
        self, costs: Sequence[Cost], many: Cost | None, now: int
    ) -> _Counted:
        if many is not None:
            wait = await self._throttle.take([*costs, many], now)
            if wait <= limits.DAY:
                return _Counted([*costs, many], wait)
        # Where there were too many, an attempt is still counted by the others: so the
        # answers do not say that all of them are refused.
        wait = await self._throttle.take(costs, now)
        return _Counted(costs, wait, is_locked=many is not None)

    def _give_back(
        self, counting: asyncio.Future[_Counted], *, forget: Sequence[str] = ()
    ) -> asyncio.Future[None]:
        async def work() -> None:
            try:
                counted = await counting
            except TryAgain:
                return  # it may not have been counted: nothing is given back
            if not counted.wait:
                await self._throttle.give_back(counted.costs, forget=forget)

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


def factor_costs(account_id: bytes | None, address: str) -> list[Cost]:
    """The counters of an attempt with a second factor: of its network and its user.

    They are apart from those of passwords: a right password sets none of them back.
    """
    of_network = Cost(
        f"factor-network:{caller_of(address)}",
        limits.FACTOR_NETWORK_BURST,
        limits.FACTOR_NETWORK_INTERVAL,
    )
    if account_id is None:
        return [of_network]
    rate = limits.FACTOR_ACCOUNT_BURST, limits.FACTOR_ACCOUNT_INTERVAL
    return [of_network, Cost(f"factor:{account_id.hex()}", *rate)]


def _failures(account_id: bytes) -> Cost:
    """Counts wrong codes in a row, whatever the time between them."""
    rate = limits.FACTOR_FAILURES_MAX, limits.FACTOR_FAILURES_INTERVAL
    return Cost(f"factor-failures:{account_id.hex()}", *rate)


def in_a_row(account_id: bytes) -> Cost:
    """Counts wrong factors in a row, up to those that the user is told of."""
    rate = limits.FACTOR_FAILURES_TOLD - 1, limits.FACTOR_FAILURES_INTERVAL
    return Cost(f"factor-in-a-row:{account_id.hex()}", *rate)


def told_of_lock(account_id: bytes) -> Cost:
    """Counts the one notice that codes are no longer accepted."""
    return Cost(f"factor-locked:{account_id.hex()}", 1, limits.FACTOR_FAILURES_INTERVAL)


def factor_counters(account_id: bytes) -> list[str]:
    """The counters of a user that a right factor sets back to zero."""
    costs = [
        *factor_costs(account_id, "")[1:],
        _failures(account_id),
        in_a_row(account_id),
        told_of_lock(account_id),
    ]
    return [cost.key for cost in costs]


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
