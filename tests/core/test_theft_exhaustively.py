"""All interleavings of a victim and a thief over five or six generations.

    victim   refreshes with a key drawn and stored before sending, or without a key;
             any answer may be lost, and then the same request is sent again. Without a
             key two messages may be under way: requests and answers arrive in any
             order, late ones after the client has gone on
    thief    copies the victim's storage once, at any moment, and from then on presents
             any token that he ever held, with any key he can come by, or none, from
             another network or from the victim's own
    time     where there is a grace, it may run out at any moment

Abstract states are few, so the search visits every one that can be reached, and every
step is judged by the real `judge` on a real row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import pytest

from watchword.core.limits import DAY, REFRESH_ABSOLUTE, REFRESH_IDLE, SECOND
from watchword.core.refresh_token import hash_of
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Rotate,
    Verdict,
    judge,
    retry_hash,
)
from watchword.core.session import STRICT, Session
from watchword.errors import RetryKeyReused, SessionRevoked

NOW = 1_800_000_000_000
SECRET = b"s" * 20
GRACE = 10 * SECOND
NOBODY, VICTIM, THIEF = "none", "victim", "thief"
# Documentation addresses (RFC 5737, RFC 3849). The victim's phone changes networks.
HOME, PHONE, ELSEWHERE = "192.0.2.7", "2001:db8:0:1::7", "198.51.100.9"


class World(NamedTuple):
    """What holds in all of one search."""

    generations: int = 6
    sends_key: bool = True
    copies_key: bool = False
    grace: int = 0
    networks: tuple[str, ...] = (HOME,)  # the victim's
    thief_at: str = ELSEWHERE
    under_way: int = 0  # messages that may be overtaken


STRICT_WORLD = World()
KEYLESS = World(5, sends_key=False, under_way=2)
LENIENT = KEYLESS._replace(grace=GRACE)


class State(NamedTuple):
    """Who holds what. Keys are named after who drew them and for which generation."""

    generation: int = 0
    made_with: str = NOBODY
    made_from: str = HOME
    recent: bool = True  # the newest rotation: within the grace
    ended: bool = False
    holds: int = 0  # the victim's newest token
    under_way: tuple[tuple[str, int], ...] = ()
    stolen: frozenset[int] = frozenset()  # tokens that the thief holds
    stolen_keys: frozenset[str] = frozenset()
    copied: bool = False
    # Generations with which each was answered since the theft.
    victim_got: frozenset[int] = frozenset()
    thief_got: frozenset[int] = frozenset()


def key_of(who: str, generation: int) -> str:
    return f"{who}-key-for-generation-{generation}"


def row_of(world: World, state: State) -> Session:
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
        rotated_at=NOW if state.recent else NOW - GRACE,
        idle_expires_at=NOW + REFRESH_IDLE,
        expires_at=NOW + REFRESH_ABSOLUTE,
        access_ttl=1000,
        grace=world.grace,
        hold_off=0,
        roles=(),
        address=state.made_from,
        user_agent="",
        revoked_at=NOW if state.ended else None,
    )


@lru_cache(None)
def judged(
    world: World, row: State, generation: int, key: str | None, address: str
) -> Verdict:
    shown = Presented(b"i" * 16, generation, SECRET, "c", key, address=address)
    return judge(row_of(world, row), shown, STRICT, NOW)


def present(
    world: World, state: State, generation: int, key: str | None, address: str
) -> tuple[State, int | None]:
    """The state after a request, and the generation of the token in the answer."""
    # All that a row depends on: so each is judged once.
    row = State(
        state.generation, state.made_with, state.made_from, state.recent, state.ended
    )
    match judged(world, row, generation, key, address):
        case Rotate(successor):
            # Without a key the server draws one that nobody knows.
            made = key if key is not None else f"server-key-for-{generation}"
            state = state._replace(generation=successor, made_with=made)
            return state._replace(made_from=address, recent=True), successor
        case Retry():
            return state, state.generation
        case End():
            return state._replace(ended=True), None
        case Refuse(error):
            assert error in (RetryKeyReused, SessionRevoked)
            return state, None
        case verdict:
            raise AssertionError(verdict)


def answered(state: State, got: int) -> State:
    """The state after the server has answered the victim.

    What brings the stolen token itself is an answer from before the theft, come late.
    """
    if not state.copied or got <= min(state.stolen):
        return state
    return state._replace(victim_got=state.victim_got | {got})


def victim_moves(world: World, state: State) -> Iterator[State]:
    key = key_of(VICTIM, state.holds) if world.sends_key else None
    for network in world.networks:
        after, got = present(world, state, state.holds, key, network)
        if got is None:
            yield after
            continue
        after = answered(after, got)
        yield after  # the answer is lost
        yield after._replace(holds=got)


def messages(world: World, state: State) -> Iterator[State]:
    """What may happen to the victim's messages that are under way, without keys."""
    if len(state.under_way) < world.under_way:
        sent = ("request", state.holds)
        yield state._replace(under_way=(*state.under_way, sent))
    for place, (kind, generation) in enumerate(state.under_way):
        others = state.under_way[:place] + state.under_way[place + 1 :]
        arrived = state._replace(under_way=others)
        if kind == "answer":
            yield arrived  # lost
            yield arrived._replace(holds=generation)
            continue
        for network in world.networks:
            after, got = present(world, arrived, generation, None, network)
            if got is None:
                yield after
                continue
            after = answered(after, got)
            yield after._replace(under_way=(*others, ("answer", got)))


def thief_moves(world: World, state: State) -> Iterator[State]:
    keys: set[str | None] = {None, "thief-s-one-key-for-everything"}
    keys |= state.stolen_keys
    for generation in state.stolen:
        for key in keys | {key_of(THIEF, generation)}:
            after, got = present(world, state, generation, key, world.thief_at)
            if got is not None:
                after = after._replace(
                    stolen=after.stolen | {got}, thief_got=after.thief_got | {got}
                )
            yield after


def copies(world: World, state: State) -> Iterator[State]:
    if state.copied:
        return
    pending = key_of(VICTIM, state.holds)
    # The key lies in the storage from before it is sent until the answer is there.
    keys = frozenset([pending]) if world.copies_key else frozenset()
    yield state._replace(copied=True, stolen=frozenset([state.holds]), stolen_keys=keys)


def steps_from(world: World, state: State) -> Iterator[State]:
    yield from victim_moves(world, state)
    yield from messages(world, state)
    yield from thief_moves(world, state)
    yield from copies(world, state)
    if world.grace:
        yield state._replace(recent=False)


def reachable(world: World) -> Iterator[tuple[State, State]]:
    """Every step of every interleaving: the state before, the state after."""
    begin = State()
    seen, todo = {begin}, [begin]
    while todo:
        state = todo.pop()
        if state.generation >= world.generations:
            continue
        for after in steps_from(world, state):
            yield state, after
            if after not in seen:
                seen.add(after)
                todo.append(after)


@pytest.mark.parametrize(
    "world",
    [
        STRICT_WORLD,
        STRICT_WORLD._replace(grace=GRACE),
        KEYLESS,
        LENIENT,
        KEYLESS._replace(thief_at=HOME),
        LENIENT._replace(networks=(HOME, PHONE)),
    ],
    ids=[
        "with keys",
        "with keys and a grace",
        "without keys",
        "without keys, a grace",
        "without keys, a thief on the same network",
        "without keys, a grace, and a victim who moves",
    ],
)
def test_of_thief_and_victim_only_one_is_ever_answered(world: World) -> None:
    """The thief copied the token, and not the key: the other one's turn is the end.

    With a grace too, for a thief elsewhere: it is bound to the network.
    """
    steps = 0
    for _, after in reachable(world):
        steps += 1
        assert not (after.victim_got and after.thief_got), after
    assert steps > 1000


def test_on_the_victims_network_a_thief_is_served_too_but_within_the_grace() -> None:
    """There is still one current token, and after the grace a spent one is theft."""
    both = late = 0
    for before, after in reachable(LENIENT._replace(thief_at=HOME)):
        both += bool(after.victim_got and after.thief_got)
        if before.recent:
            continue
        late += 1
        gained = after.thief_got - before.thief_got
        if gained and not before.ended:  # his own rotation, of a token not spent yet
            assert gained == {before.generation + 1}, after
    assert both
    assert late


def test_a_thief_with_the_pending_key_too_gets_one_round() -> None:
    """He may share the one successor that his key asks for; then it is as before."""
    shared = 0
    for _, after in reachable(World(copies_key=True)):
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


EVERY_WORLD = pytest.mark.parametrize(
    "world",
    [STRICT_WORLD, World(copies_key=True), LENIENT._replace(generations=3)],
    ids=["with keys", "and a thief who has the pending one", "without"],
)


@EVERY_WORLD
def test_an_ended_session_answers_nobody_again(world: World) -> None:
    for before, after in reachable(world):
        if before.ended:
            assert after.ended
            assert after.generation == before.generation
            assert after.victim_got == before.victim_got
            assert after.thief_got == before.thief_got


@EVERY_WORLD
def test_generations_never_fall_and_there_is_one_current_token(world: World) -> None:
    for before, after in reachable(world):
        assert before.generation <= after.generation <= before.generation + 1
        assert after.holds <= after.generation
        assert all(held <= after.generation for held in after.stolen)


def test_without_a_thief_a_victim_who_loses_answers_is_never_logged_out() -> None:
    for _, after in reachable(STRICT_WORLD):
        if not after.copied:
            assert not after.ended, after


def test_a_thief_who_waits_is_detected_by_the_victims_next_refresh() -> None:
    """Whenever the thief was answered, the victim's very next request ends it."""
    found = 0
    for _, after in reachable(STRICT_WORLD):
        if after.thief_got and not after.ended:
            found += 1
            assert all(move.ended for move in victim_moves(STRICT_WORLD, after)), after
    assert found


def test_the_search_covers_a_day() -> None:
    """The rows above are judged at one instant: only a grace in them runs out."""
    assert STRICT.retry_window >= DAY > GRACE
