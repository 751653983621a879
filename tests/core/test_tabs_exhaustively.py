"""All interleavings of a browser's tabs, a step-up among them, and a thief.

    tabs    share one cookie. Requests are under way for up to five seconds, so that
            one may arrive when others have rotated the cookie, early or not
    user    proves more in one of the tabs, but not twice within the grace
    thief   copies the cookie once, at any moment, and from then on presents whatever
            he holds, without a proof

Time goes by in steps of five seconds. Every step is judged by the real `judge`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from watchword.core.limits import (
    BROWSER_GRACE,
    BROWSER_HOLD_OFF,
    REFRESH_ABSOLUTE,
    REFRESH_IDLE,
    SECOND,
)
from watchword.core.refresh_token import hash_of
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Rotate,
    Same,
    Verdict,
    judge,
)
from watchword.core.session import STRICT, Authenticated, Session
from watchword.errors import SessionRevoked

NOW = 1_800_000_000_000
SECRET = b"s" * 20
TICK = 5 * SECOND
GRACE = BROWSER_GRACE // TICK
OVER = BROWSER_HOLD_OFF // TICK + 1  # whatever is older looks the same


class State(NamedTuple):
    """Ages are in ticks. `early` is that of a generation made early, else None."""

    generation: int = 0
    rotated: int = OVER
    early: int | None = None
    cookie: int = 0
    under_way: tuple[tuple[int, bool, int], ...] = ()  # generation, with proof, age
    stolen: frozenset[int] = frozenset()
    ended: bool = False


@lru_cache(None)
def judged(row: State, generation: int, *, proves: bool) -> Verdict:
    # The proof came a moment before its own rotation, or after the one before.
    rotated_at = NOW - row.rotated * TICK - 1
    early = row.early
    auth_time = rotated_at - 1 if early is None else NOW - early * TICK
    session = Session(
        id=b"i" * 16,
        account_id=b"a" * 16,
        client_id="c",
        secret_hash=hash_of(SECRET),
        retry_hash=b"r" * 32,
        generation=row.generation,
        version=0,
        authenticated_at=NOW,
        rotated_at=rotated_at,
        idle_expires_at=NOW + REFRESH_IDLE,
        expires_at=NOW + REFRESH_ABSOLUTE,
        access_ttl=1000,
        grace=BROWSER_GRACE,
        hold_off=BROWSER_HOLD_OFF,
        roles=(),
        address="",
        user_agent="",
        revoked_at=NOW if row.ended else None,
        cookie=True,
        auth_time=auth_time,
    )
    proof = Authenticated(b"a" * 16, (), 0, ("otp",), "aal1", NOW + 1)
    shown = Presented(
        b"i" * 16,
        generation,
        SECRET,
        "c",
        cookie=True,
        proved=proof if proves else None,
    )
    return judge(session, shown, STRICT, NOW)


def present(
    state: State, generation: int, *, proves: bool = False
) -> tuple[State, int | None]:
    """The state after a request, and the generation of the cookie in the answer."""
    row = State(state.generation, state.rotated, state.early, ended=state.ended)
    match judged(row, generation, proves=proves):
        case Rotate(successor, early=early):
            state = state._replace(generation=successor)
            if early:
                return state._replace(early=0), successor
            return state._replace(rotated=0, early=None), successor
        case Retry() | Same():
            if proves and state.rotated < OVER:  # the proof is as late as this request
                state = state._replace(early=0)
            return state, state.generation
        case End():
            return state._replace(ended=True), None
        case Refuse(error):
            assert error is SessionRevoked
            return state, None
        case verdict:
            raise AssertionError(verdict)


def steps_from(state: State, *, tabs: int, thief: bool) -> Iterator[State]:
    sent = state.under_way
    if len(sent) < tabs:
        has_proved = state.early is not None and state.early < GRACE
        proving = has_proved or any(proves for _, proves, _ in sent)
        for proves in (False,) if proving else (False, True):
            one = (state.cookie, proves, 0)
            yield state._replace(under_way=(*sent, one))
    for place, (generation, proves, _) in enumerate(sent):
        rest = sent[:place] + sent[place + 1 :]
        after, got = present(state, generation, proves=proves)
        yield after._replace(
            under_way=rest, cookie=after.cookie if got is None else got
        )
    if all(age < 1 for *_, age in sent):
        yield state._replace(
            rotated=min(state.rotated + 1, OVER),
            early=None if state.early is None else min(state.early + 1, OVER),
            under_way=tuple((one, proves, age + 1) for one, proves, age in sent),
        )
    if thief:
        if not state.stolen:
            yield state._replace(stolen=frozenset([state.cookie]))
        for generation in state.stolen:
            after, got = present(state, generation)
            gained = state.stolen if got is None else state.stolen | {got}
            yield after._replace(stolen=gained)


def reachable(
    generations: int, *, tabs: int, thief: bool = False
) -> Iterator[tuple[State, State]]:
    begin = State()
    seen, todo = {begin}, [begin]
    while todo:
        state = todo.pop()
        if state.generation >= generations:
            continue
        for after in steps_from(state, tabs=tabs, thief=thief):
            yield state, after
            if after not in seen:
                seen.add(after)
                todo.append(after)


def test_no_tab_is_logged_out_by_a_step_up_in_another() -> None:
    early = behind = 0
    for before, after in reachable(5, tabs=3):
        assert not after.ended, (before, after)
        early += after.early is not None
        oldest = min((one for one, *_ in before.under_way), default=9)
        behind += oldest == before.generation - 2
    assert early
    assert behind


def test_a_copied_cookie_that_is_spent_is_answered_in_the_grace_alone() -> None:
    """Two generations old, it is within the grace of the rotation that has spent it."""
    served = ended = 0
    for before, after in reachable(5, tabs=1, thief=True):
        gained = after.stolen - before.stolen
        if not before.stolen or not gained:
            ended += after.ended and not before.ended
            continue
        if after.generation > before.generation:
            assert before.generation in before.stolen, "his own rotation"
            continue
        newest = max(before.stolen)
        behind = before.generation - newest
        assert behind == 1 or (behind == 2 and before.early is not None)
        spent = before.rotated
        if behind == 1 and before.early is not None:
            spent = before.early
        assert spent < GRACE, (before, after)
        served += 1
    assert served
    assert ended
