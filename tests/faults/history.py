"""What many clients saw of servers that died, judged afterwards by the rule.

Design, section 3. A history is every request of every client: when it was sent, what
it presented, and when which answer came, if any did. `violations` is pure: it names
each answer that no order of events under the rule can explain.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import msgspec

NEVER: Final = math.inf

# The promises.
OUTSIDE: Final = "an answer, a refusal or 503 with Retry-After"
FORK: Final = "a token has one successor"
TWICE: Final = "a token is honoured once, or by its key"
GROWTH: Final = "generations grow by one"
LOST: Final = "no acknowledged rotation is lost"
ALIVE: Final = "no success after an acknowledged revocation"
OUT: Final = "nobody is logged out for nothing"


Verb = Literal["login", "refresh", "logout", "secure"]


class Call(msgspec.Struct, kw_only=True, eq=False):
    """One request. Without an answer `status` is 0 and `ended` is NEVER.

    `generation` is that of the refresh token presented; `successor` is the refresh
    token that came back, and `grown` its generation. Honest clients send a key with
    each refresh: one without is a replay of what was stolen.
    """

    server: str
    verb: Verb
    began: float
    ended: float = NEVER
    session: str = ""
    generation: int = -1
    key: str | None = None
    status: int = 0
    code: str = ""
    retry_after: bool = False
    successor: str = ""
    grown: int = -1


class Rewound(NamedTuple):
    """An audit event: the store was behind a token by so many generations."""

    session: str
    by: int


class Tail(NamedTuple):
    """What was acknowledged from `cut` until `over` went with a failover.

    Documented (design, section 6): sign-ins and revocations in it may be gone, and
    each session that survived may be rewound once. Where revocations `waited` for the
    standby, none of those that were acknowledged is.
    """

    cut: float
    over: float
    waited: bool = False

    def has(self, call: Call) -> bool:
        return call.ended > self.cut and call.began < self.over


class Violation(NamedTuple):
    """A promise that was broken, and the answer (or the event) that shows it."""

    promise: str
    shown_by: Call | Rewound


def violations(
    calls: Iterable[Call],
    rewound: Sequence[Rewound] = (),
    *,
    tails: Sequence[Tail] = (),
    may_rewind: int = 0,
) -> list[Violation]:
    """Every broken promise of a history; none where the rule explains it.

    A server that did not make a revocation hears of it a little later, and when it was
    cut off, once it is not any more: that it does is for the end of the load to see.
    """
    sessions: dict[str, list[Call]] = defaultdict(list)
    found: list[Violation] = []
    for call in calls:
        sessions[call.session].append(call)
        if call.status not in {0, 200, 401} and not (
            call.status == 503 and call.retry_after
        ):
            found.append(Violation(OUTSIDE, call))
    for session, own in sessions.items():
        one = _Session(own, tails)
        found += one.successors()
        found += one.revocations()
        found += one.refusals()
        events = [event for event in rewound if event.session == session]
        found += [
            Violation(LOST, event)
            for number, event in enumerate(events)
            if event.by > may_rewind or number >= len(tails)
        ]
    return found


class _Session:
    """The part of a history that is about one session."""

    def __init__(self, calls: list[Call], tails: Sequence[Tail]) -> None:
        self._calls = calls
        self._tails = tails
        self._rotations = [
            call for call in calls if call.verb == "refresh" and call.status == 200
        ]

    def successors(self) -> Iterable[Violation]:
        """One successor for each token, for one holder, and never that of an elder."""
        first: dict[int, Call] = {}
        acknowledged = sorted(self._rotations, key=lambda call: call.ended)
        ends = [call.ended for call in acknowledged]
        newest = list(accumulate((call.grown for call in acknowledged), max))
        for call in self._rotations:
            other = first.setdefault(call.generation, call)
            if call.grown != call.generation + 1:
                yield Violation(GROWTH, call)
            if call.successor != other.successor:
                yield Violation(FORK, call)
            if call is not other and (call.key is None or call.key != other.key):
                yield Violation(TWICE, call)
            before = bisect_left(ends, call.began)
            if before and newest[before - 1] > call.grown:
                yield Violation(LOST, call)

    def revocations(self) -> Iterable[Violation]:
        """Once somebody was told that it is over, nothing of it works."""
        told = [call for call in self._calls if self._tells_the_end(call)]
        if not told:
            return
        end = min(told, key=lambda call: call.ended)
        for call in self._calls:
            since = call.began - end.ended
            if call.status != 200 or since <= 0:
                continue
            here = call.server == end.server  # at once where it was said
            if call.verb == "refresh" or (call.verb == "secure" and here):
                yield Violation(ALIVE, call)

    def refusals(self) -> Iterable[Violation]:
        """Nobody is logged out but by a logout or a replay."""
        began = min((call.began for call in self._may_end()), default=NEVER)
        gone = any(
            call.verb == "login" and any(tail.has(call) for tail in self._tails)
            for call in self._calls
        )
        for call in self._calls:
            if call.status == 401 and not gone:
                unknown = call.code == "refresh_invalid"
                if unknown or call.ended < began:
                    yield Violation(OUT, call)

    def _may_end(self) -> list[Call]:
        """What may have ended it, answered or not."""
        return [
            call
            for call in self._calls
            if call.verb == "logout" or (call.verb == "refresh" and call.key is None)
        ]

    def _tells_the_end(self, call: Call) -> bool:
        said = (call.verb == "logout" and call.status == 200) or (
            call.verb == "refresh" and call.status == 401
        )
        return said and not any(
            tail.has(call) and not tail.waited for tail in self._tails
        )
