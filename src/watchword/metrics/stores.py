"""Stores that are counted: how long each operation takes, and what it has written.

What the engine has done is what its stores have written. So most counters are counted
here, after the store has answered, and not in each part of the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any, Final, cast, get_type_hints

from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.session import AAL2, Session
from watchword.core.throttle import Cost
from watchword.errors import Overloaded, StoreUnavailable, WatchwordError
from watchword.metrics.catalog import OTHER, Counter, Histogram
from watchword.metrics.port import Metrics
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.batches import PartialResult
from watchword.ports.credentials import Credential, Spending
from watchword.ports.sessions import Change, SessionLimit

Told = Callable[[Metrics, Sequence[Any], Any], None]
"""Counts what a call has written, by its arguments and its answer."""

# A member of an enum is looked up in 60 ns, a name in 5.
_DURATION: Final = Histogram.STORE_DURATION
_BATCH: Final = Histogram.STORE_BATCH
_THROTTLES: Final = {
    "address": "sign_in",
    "factor-network": "second_factor",
    "client": "client",
    "register": "registration",
    "registration": "registration",
    "ask": "mail_asked",
    "confirm": "confirmation",
    "change": "account_change",
}
"""What is refused, by what the first key of its counters begins with.

The other counters refuse no caller: they say how often a user is told of something.
"""
_FACTORS: Final = {
    EventType.FACTOR_ADDED: "added",
    EventType.FACTOR_REMOVED: "removed",
    EventType.FACTORS_RESET: "reset",
    EventType.RECOVERY_CODES_MADE: "made",
    EventType.RECOVERY_CODE_USED: "used",
}
_CODES: Final = (EventType.RECOVERY_CODES_MADE, EventType.RECOVERY_CODE_USED)


def counted(stores: Stores, metrics: Metrics) -> Stores:
    """The same stores, counted."""
    ports = {
        name: _Counted(getattr(stores, name), name, verbs_of(port), metrics)
        for name, port in get_type_hints(Stores).items()
    }
    return Stores(**cast("Any", ports))


def verbs_of(port: type) -> list[str]:
    """The operations of a port."""
    return [name for name, one in vars(port).items() if iscoroutinefunction(one)]


class _Counted:
    """One port. What is no operation of it is that of the store itself."""

    def __init__(
        self,
        port: Any,  # noqa: ANN401
        store: str,
        verbs: Iterable[str],
        metrics: Metrics,
    ) -> None:
        self._port = port
        for op in verbs:
            told = _TOLD.get((store, op), _trail_told)
            setattr(self, op, _timed(getattr(port, op), op, store, metrics, told))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._port, name)


def _timed(
    call: Callable[..., Awaitable[Any]],
    op: str,
    store: str,
    metrics: Metrics,
    told: Told | None,
) -> Callable[..., Awaitable[Any]]:
    observe = metrics.observe

    async def ask(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        begun = perf_counter()
        try:
            answer = await call(*args, **more)
        except PartialResult as error:
            metrics.count(Counter.STORE_ERRORS, "partial")
            if told is not None:
                told(metrics, (*args, *more.values()), error.outcomes)
            raise
        except Exception as error:
            if (kind := _kind_of(error)) is not None:
                metrics.count(Counter.STORE_ERRORS, kind)
            raise
        finally:
            seconds = perf_counter() - begun
            observe(_DURATION, seconds, op, store)
        if told is not None:
            told(metrics, (*args, *more.values()) if more else args, answer)
        return answer

    return ask


def _kind_of(error: Exception) -> str | None:
    """What kind of fault of the store it is; None for an answer that is no fault."""
    if isinstance(error, StoreUnavailable):
        return "unavailable"
    if isinstance(error, Overloaded):
        return "overloaded"
    return None if isinstance(error, WatchwordError) else OTHER


def _trail_told(metrics: Metrics, args: Sequence[Any], answer: Any) -> None:  # noqa: ANN401
    """Count the events among the arguments, unless nothing was written."""
    if answer is False:
        return
    for one in args:
        if isinstance(one, Trail):
            for event in one.events:
                _event_told(metrics, event)
        elif isinstance(one, Event):
            _event_told(metrics, one)


def _event_told(metrics: Metrics, event: Event, n: int = 1) -> None:
    metrics.count(Counter.EVENTS, event.type, n=n)
    action = _FACTORS.get(event.type)
    if action is not None:
        kind = "recovery_code" if event.type in _CODES else event.detail.get("kind")
        metrics.count(Counter.FACTORS, str(kind or "every"), action, n=n)


def _created(metrics: Metrics, args: Sequence[Any], answer: Any) -> None:  # noqa: ANN401
    session, event, *_ = args
    metrics.count(Counter.SESSIONS_STARTED, session.client_id)
    _event_told(metrics, event)
    if session.started_from is None:  # otherwise an earlier sign-in has let it in
        metrics.count(Counter.SIGN_INS, method_of(session), "success")
    for one in args:
        if isinstance(one, SessionLimit) and answer:
            _ended_told(metrics, one.reason, one.event, len(answer))
        elif isinstance(one, Spending):  # a recovery code that goes with it
            _trail_told(metrics, [one.trail], None)


def _ended(metrics: Metrics, args: Sequence[Any], answer: Any) -> None:  # noqa: ANN401
    _, reason, event, *_ = args
    if answer:
        _ended_told(metrics, reason, event, len(answer))


def _ended_told(metrics: Metrics, reason: str, event: Event, n: int) -> None:
    metrics.count(Counter.SESSIONS_ENDED, reason, n=n)
    _event_told(metrics, event, n)


def _swapped(metrics: Metrics, args: Sequence[Any], answer: Any) -> None:  # noqa: ANN401
    changes: Sequence[Change] = args[0]
    metrics.observe(_BATCH, len(changes))
    for change, done in zip(changes, answer, strict=True):
        event, after = change.event, change.after
        if done is not True or (event is None and after.revoked_at is None):
            continue
        if after.revoked_reason is not None:
            metrics.count(Counter.SESSIONS_ENDED, after.revoked_reason)
            if after.revoked_reason == EndReason.REUSE:
                metrics.count(Counter.TOKEN_REUSE)
        if event is not None:
            _event_told(metrics, event)
            if event.type is EventType.SIGN_IN:  # a browser that signs in again
                metrics.count(Counter.SIGN_INS, method_of(after), "success")


def _credential_swapped(
    metrics: Metrics,
    args: Sequence[Any],
    answer: Any,  # noqa: ANN401
) -> None:
    before: Credential = args[0]
    after: Credential | None = args[1]
    if answer and after is not None and after.used_at != before.used_at:
        metrics.count(Counter.FACTORS, before.kind, "used")
    _trail_told(metrics, args, answer)


def _taken(metrics: Metrics, args: Sequence[Any], answer: Any) -> None:  # noqa: ANN401
    costs: Sequence[Cost] = args[0]
    # One that would refuse for years is a lock: then the attempt is counted anew
    # without it.
    if answer and costs and answer <= limits.DAY:
        kind = _THROTTLES.get(costs[0].key.partition(":")[0])
        if kind is not None:
            metrics.count(Counter.THROTTLED, kind)


_TOLD: Final[dict[tuple[str, str], Told | None]] = {
    ("sessions", "create"): _created,
    ("sessions", "end"): _ended,
    ("sessions", "swap"): _swapped,
    ("sessions", "load"): None,
    ("credentials", "swap"): _credential_swapped,
    ("throttle", "take"): _taken,
    # Events of another store: they were counted when that wrote them.
    ("audit", "adopt"): None,
}


def method_of(session: Session) -> str:
    """How the user of a session signed in, as the label of `sign_ins_total`."""
    if "pwd" in session.amr:
        return "second_factor" if session.acr == AAL2 else "password"
    return "passkey" if {"hwk", "swk", "pop"} & set(session.amr) else OTHER
