"""All interleavings of a victim and a thief over six generations.

    victim   refreshes with a key drawn and stored before sending; any answer may be
             lost, and then the same request is sent again
    thief    copies the victim's storage once, at any moment, and from then on presents
             any token that he ever held, with any key he can come by, or none

Abstract states are few, so the search visits every one that can be reached, and every
step is judged by the real `judge` on a real row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from watchword.core.limits import DAY, REFRESH_ABSOLUTE, REFRESH_IDLE
from watchword.core.refresh_token import hash_of
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Rotate,
    judge,
    retry_hash,
)
from watchword.core.session import STRICT, Session
from watchword.errors import RetryKeyReused, SessionRevoked

NOW = 1_800_000_000_000
SECRET = b"s" * 20
GENERATIONS = 6
NOBODY, VICTIM, THIEF = "none", "victim", "thief"


class State(NamedTuple):
    """Who holds what. Keys are named after who drew them and for which generation."""

    generation: int = 0
    made_with: str = NOBODY
    ended: bool = False
    holds: int = 0  # the victim's newest token
    pending: bool = False  # the victim has sent, and has had no answer
    stolen: frozenset[int] = frozenset()  # tokens that the thief holds
    stolen_keys: frozenset[str] = frozenset()
    copied: bool = False
    # Generations with which each was answered since the theft.
    victim_got: frozenset[int] = frozenset()
    thief_got: frozenset[int] = frozenset()


def key_of(who: str, generation: int) -> str:
    return f"{who}-key-for-generation-{generation}"


def row_of(state: State) -> Session:
    spent = state.generation - 1
    made = b"r" * 32
    if state.generation:
        made = retry_hash(SECRET, spent, state.made_with)
    return Session(
        id=b"i" * 16,
        account_id=b"a" * 16,
        client_id="c",
        secret_hash=hash_of(SECRET),
        retry_hash=made,
        generation=state.generation,
        version=0,
        authenticated_at=NOW,
        rotated_at=NOW,
        idle_expires_at=NOW + REFRESH_IDLE,
        expires_at=NOW + REFRESH_ABSOLUTE,
        access_ttl=1000,
        grace=0,
        hold_off=0,
        roles=(),
        address="",
        user_agent="",
        revoked_at=NOW if state.ended else None,
    )


def present(state: State, generation: int, key: str | None) -> tuple[State, int | None]:
    """The state after a request, and the generation of the token in the answer."""
    shown = Presented(b"i" * 16, generation, SECRET, "c", key)
    verdict = judge(row_of(state), shown, STRICT, NOW)
    match verdict:
        case Rotate(successor):
            # Without a key the server draws one that nobody knows.
            made = key if key is not None else f"server-key-for-{generation}"
            return state._replace(generation=successor, made_with=made), successor
        case Retry():
            return state, state.generation
        case End():
            return state._replace(ended=True), None
        case Refuse(error):
            assert error in (RetryKeyReused, SessionRevoked)
            return state, None
    raise AssertionError(verdict)


def victim_moves(state: State) -> Iterator[State]:
    key = key_of(VICTIM, state.holds)
    after, got = present(state, state.holds, key)
    if got is None:
        yield after._replace(pending=False)
        return
    served = after.victim_got | ({got} if state.copied else frozenset())
    after = after._replace(victim_got=served)
    yield after._replace(pending=True)  # the answer is lost
    yield after._replace(holds=got, pending=False)


def thief_moves(state: State) -> Iterator[State]:
    keys: set[str | None] = {None, "thief-s-one-key-for-everything"}
    keys |= state.stolen_keys
    for generation in state.stolen:
        for key in keys | {key_of(THIEF, generation)}:
            after, got = present(state, generation, key)
            if got is not None:
                after = after._replace(
                    stolen=after.stolen | {got}, thief_got=after.thief_got | {got}
                )
            yield after


def copies(state: State, *, with_key: bool) -> Iterator[State]:
    if state.copied:
        return
    pending = key_of(VICTIM, state.holds)
    # The key lies in the storage from before it is sent until the answer is there.
    keys = frozenset([pending]) if with_key else frozenset()
    yield state._replace(copied=True, stolen=frozenset([state.holds]), stolen_keys=keys)


def reachable(*, with_key: bool) -> Iterator[tuple[State, State]]:
    """Every step of every interleaving: the state before, the state after."""
    begin = State()
    seen, todo = {begin}, [begin]
    while todo:
        state = todo.pop()
        if state.generation >= GENERATIONS:
            continue
        steps = [*victim_moves(state), *thief_moves(state)]
        for after in [*steps, *copies(state, with_key=with_key)]:
            yield state, after
            if after not in seen:
                seen.add(after)
                todo.append(after)


def test_of_thief_and_victim_only_one_is_ever_answered() -> None:
    """The thief copied the token, and not the key: the other one's turn is the end."""
    steps = 0
    for _, after in reachable(with_key=False):
        steps += 1
        assert not (after.victim_got and after.thief_got), after
    assert steps > 1000


def test_a_thief_with_the_pending_key_too_gets_one_round() -> None:
    """He may share the one successor that his key asks for; then it is as before."""
    shared = 0
    for _, after in reachable(with_key=True):
        both = after.victim_got & after.thief_got
        assert len(both) <= 1, after
        if after.victim_got and after.thief_got:
            shared += 1
            (common,) = both
            ahead = {
                who
                for who, got in (
                    (VICTIM, after.victim_got),
                    (THIEF, after.thief_got),
                )
                if max(got) > common
            }
            assert len(ahead) <= 1, after
    assert shared


@pytest.mark.parametrize("with_key", [False, True])
def test_an_ended_session_answers_nobody_again(*, with_key: bool) -> None:
    for before, after in reachable(with_key=with_key):
        if before.ended:
            assert after.ended
            assert after.generation == before.generation
            assert after.victim_got == before.victim_got
            assert after.thief_got == before.thief_got


@pytest.mark.parametrize("with_key", [False, True])
def test_generations_never_fall_and_there_is_one_current_token(
    *, with_key: bool
) -> None:
    for before, after in reachable(with_key=with_key):
        assert before.generation <= after.generation <= before.generation + 1
        assert after.holds <= after.generation
        assert all(held <= after.generation for held in after.stolen)


def test_without_a_thief_a_victim_who_loses_answers_is_never_logged_out() -> None:
    for _, after in reachable(with_key=False):
        if not after.copied:
            assert not after.ended, after


def test_a_thief_who_waits_is_detected_by_the_victims_next_refresh() -> None:
    """Whenever the thief was answered, the victim's very next request ends it."""
    found = 0
    for _, after in reachable(with_key=False):
        if after.thief_got and not after.ended:
            found += 1
            assert all(move.ended for move in victim_moves(after)), after
    assert found


def test_the_search_covers_a_day() -> None:
    """The rows above are judged at one instant: nothing in them runs out."""
    assert STRICT.retry_window >= DAY
