"""What is known of the sessions that ended, and how old that knowledge is. No I/O.

The server stamps each answer with two instants of its own monotonic clock: `now`, when
it was made, and `completeAsOf`: all that ended before is in this answer or in earlier
ones. How old that is here must not depend on when an answer arrives: a connection that
is half open, or a proxy that buffers, may bring old news late. So the first answer of a
server process (its incarnation, the first part of the cursor) sets an *anchor*: the
moment at which it was asked for, here, stands for its `now`, there. It was made no
earlier, so whatever is reckoned through the anchor is too old rather than too new, and
old news stays old whenever it comes.

Two clocks drift apart, and one may stand still while its machine sleeps. So each answer
checks the anchor: it was made after it was asked for, and before it arrived. Where the
anchor says otherwise, it is set anew, by the moment at which this answer was asked for.

A foreign cursor (another process behind the same address, or a restart) is answered
from the beginning. What was known stays: a session that ended never comes back. Behind
one address there may be several processes that answer in turn, so a place is kept for
each, and the request names them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from watchword.core import limits
from watchword.core.ended import EndedSessions
from watchword.errors import StoreUnavailable
from watchword.verify.jose import Malformed
from watchword.verify.keyset import NotYet

_CURSOR_MAX: Final = 64


class EndedSession(msgspec.Struct, frozen=True):
    """A session that ended before its time: milliseconds since the epoch."""

    sid: str
    at: int
    until: int


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What the feed answers; see `GET /revocations`."""

    cursor: str
    entries: list[EndedSession]
    more: bool
    complete: bool
    now: int
    complete_as_of: int


_decode = msgspec.json.Decoder(Answer).decode


def read_answer(raw: bytes) -> Answer:
    """An answer of the feed. Raises Malformed."""
    try:
        answer = _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("the feed's answer is not one") from None
    if answer.complete_as_of > answer.now or not 0 < len(answer.cursor) <= _CURSOR_MAX:
        raise Malformed("the feed's answer contradicts itself")
    return answer


class Followed:
    """The set of ended sessions, as far as the feed has been read.

    `clock` is the wall clock and `monotonic` one that goes on while the machine sleeps,
    where there is such a one; both in milliseconds. `closed`: nothing is accepted while
    the feed is stale.
    """

    def __init__(
        self, clock: Callable[[], int], monotonic: Callable[[], int], *, closed: bool
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._closed = closed
        self._ended = EndedSessions()
        self._swept_at = monotonic()
        # By incarnation: its anchor and its cursor; the newest last.
        self._places: dict[str, tuple[int, str]] = {}
        self._complete_at: int | None = None
        self._is_behind = True
        self._is_brief = False
        self.error: str | None = None

    def __len__(self) -> int:
        return len(self._ended)

    def has_ended(self, sid: str) -> bool:
        """Whether that session ended.

        Raises NotYet before the first complete read, StoreUnavailable where that of
        now is too old, and such tokens are not to be accepted.
        """
        if sid in self._ended:
            return True
        complete_at = self._complete_at
        if complete_at is None:
            raise NotYet(self.error)
        if self._closed and self._monotonic() - complete_at > limits.FEED_STALE:
            raise StoreUnavailable("The revocation feed is cut off.")
        return False

    @property
    def cursors(self) -> str:
        """The places of all processes that answered lately, for the next request."""
        return ",".join(cursor for _, cursor in self._places.values())

    def age(self) -> int | None:
        """As of how long ago all is known; None before the first complete read."""
        if self._complete_at is None:
            return None
        return self._monotonic() - self._complete_at

    def state(self) -> Literal["starting", "following", "cut off"]:
        """How it stands."""
        age = self.age()
        if age is None:
            return "starting"
        return "following" if age <= limits.FEED_STALE else "cut off"

    def is_usable(self) -> bool:
        """Whether tokens are accepted."""
        state = self.state()
        return state == "following" or (state == "cut off" and not self._closed)

    def wait(self) -> int:
        """For how many milliseconds the next request may wait for news."""
        if self._is_behind:
            return 0
        # After an answer that was held up, or of a server that is behind itself.
        is_old = (self.age() or 0) > limits.FEED_WAIT
        return limits.FEED_RETRY if is_old else limits.FEED_WAIT

    def pause(self) -> int:
        """How many milliseconds to let pass before it, after a good answer.

        Longer where answers have all that there is, or nothing and yet come at once.
        """
        return limits.FEED_PAUSE if self._is_brief else limits.FEED_POLL

    def take(self, answer: Answer, *, sent: int, received: int) -> None:
        """An answer to a request for what follows `cursors`.

        `sent` and `received` are instants of the monotonic clock. Raises Malformed.
        """
        incarnation = answer.cursor.partition(".")[0]
        known = self._places.get(incarnation)
        if known is None and not answer.complete:
            raise Malformed("the feed goes on where it was not asked to")
        earliest, latest = sent - answer.now, received - answer.now
        anchor = earliest if known is None else max(known[0], earliest)
        if anchor > latest:
            anchor = earliest
        self._places.pop(incarnation, None)
        self._places[incarnation] = anchor, answer.cursor
        if len(self._places) > limits.FEED_PLACES:
            del self._places[next(iter(self._places))]
        for one in answer.entries:
            self._ended.add(one.sid, at=one.at, until=one.until, here=received)
        self._is_behind = answer.more
        self._is_brief = not answer.complete and bool(answer.entries)
        self.error = None
        if not answer.more:
            complete_at = anchor + answer.complete_as_of
            self._complete_at = max(self._complete_at or complete_at, complete_at)
        self._sweep(received)

    def failed(self, error: str) -> None:
        """The feed was asked in vain. The next request is to be answered at once."""
        self.error = error
        self._is_behind = True

    def _sweep(self, here: int) -> None:
        if here - self._swept_at >= limits.SWEEP_EVERY:
            self._swept_at = here
            self._ended.forget_expired(self._clock(), here)
