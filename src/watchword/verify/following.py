"""Which sessions have ended, as far as it is known here, and how old that is. No I/O.

The server stamps each answer with two instants of its own monotonic clock. `now` is
when the answer was made. `completeAsOf` says that every session that ended before it is
in this answer or in earlier ones. The age of that knowledge must not be measured from
when the answer arrived: over a connection that is half open, or through a proxy that
buffers, an old answer may arrive late. So the first answer of a server process (its
incarnation, the first part of the cursor) sets an *anchor*: the instant at which the
verifier asked, by the verifier's clock, is taken for `now` of the server's clock. The
answer cannot have been made earlier than that. So an age computed through the anchor is
too high rather than too low, and an old answer counts as old whenever it arrives.

Two clocks drift apart, and one may stand still while its machine sleeps. So each answer
checks the anchor: the answer must have been made after the verifier asked and before it
arrived. If by the anchor it was not, the anchor is set anew from when this answer was
asked for.

A cursor that the server does not know (of another process behind the same address, or
from before a restart) is answered from the beginning of the feed. What was known here
stays: a session that ended never comes back. Behind one address there may be several
processes that answer in turn, so a cursor is kept for each, and a request names them
all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from watchword.core import limits
from watchword.core.revoked import RevokedSet
from watchword.errors import StoreUnavailable
from watchword.tokens.jose import Malformed
from watchword.verify import bounds
from watchword.verify.keyset import NotYet

_CURSOR_MAX: Final = 64


class EndedSession(msgspec.Struct, frozen=True):
    """A session that was revoked. Instants are milliseconds since the epoch."""

    sid: str
    at: int
    until: int


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """An answer of the revocation feed; see `GET /revocations`."""

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


class FeedFollower:
    """The sessions that have ended, as far as the feed has been read.

    `clock` is the wall clock. `monotonic` is a clock that goes on while the machine
    sleeps, where the system has one. Both give milliseconds. With `closed` no token is
    accepted while the feed is stale.
    """

    def __init__(
        self, clock: Callable[[], int], monotonic: Callable[[], int], *, closed: bool
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._closed = closed
        self._ended = RevokedSet()
        self._swept_at = monotonic()
        # For each incarnation its anchor and its cursor. The one that answered last
        # comes last.
        self._places: dict[str, tuple[int, str]] = {}
        self._complete_at: int | None = None
        self._is_behind = True
        self._is_brief = False
        self.error: str | None = None

    def __len__(self) -> int:
        return len(self._ended)

    def has_ended(self, sid: str) -> bool:
        """Whether that session ended.

        Raises NotYet before the first complete read. Raises StoreUnavailable where the
        last one is too old and `closed` was chosen.
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
        """The cursors of all processes that answered lately, for the next request."""
        return ",".join(cursor for _, cursor in self._places.values())

    def age(self) -> int | None:
        """How many milliseconds ago the knowledge here was last complete.

        Every session that ended before that instant is known. None before the first
        complete read.
        """
        if self._complete_at is None:
            return None
        return self._monotonic() - self._complete_at

    def state(self) -> Literal["starting", "following", "cut off"]:
        """The state of following, for `health`."""
        age = self.age()
        if age is None:
            return "starting"
        return "following" if age <= limits.FEED_STALE else "cut off"

    def is_usable(self) -> bool:
        """Whether tokens are accepted in the present state."""
        state = self.state()
        return state == "following" or (state == "cut off" and not self._closed)

    def wait(self) -> int:
        """For how many milliseconds the next request may wait for new entries."""
        if self._is_behind:
            return 0
        # The last answer was delayed on its way, or its server is itself behind. A
        # short wait brings the next answer sooner.
        is_old = (self.age() or 0) > bounds.FEED_WAIT
        return bounds.FEED_RETRY if is_old else bounds.FEED_WAIT

    def pause(self) -> int:
        """How many milliseconds to pause before the next request, after a good answer.

        Longer after an answer with everything, and after an empty one: a server that
        answers at once instead of waiting would be asked without a pause.
        """
        return bounds.FEED_PAUSE if self._is_brief else limits.FEED_POLL

    def take(self, answer: Answer, *, sent: int, received: int) -> None:
        """Take in the answer to a request for the entries after `cursors`.

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
        if len(self._places) > bounds.FEED_PLACES:
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
        """Note that a request failed. The next one is to be answered at once."""
        self.error = error
        self._is_behind = True

    def _sweep(self, here: int) -> None:
        if here - self._swept_at >= limits.SWEEP_EVERY:
            self._swept_at = here
            self._ended.forget_expired(self._clock(), here)
