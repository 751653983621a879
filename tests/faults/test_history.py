"""The checker itself: what it must find, and what it must let pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.history import (
    ALIVE,
    FORK,
    GROWTH,
    LOST,
    NEVER,
    OUT,
    OUTSIDE,
    TWICE,
    Call,
    Rewound,
    Tail,
    violations,
)


def call(verb: Any, began: float, status: int = 200, **given: Any) -> Call:
    """One of session `s` at server A, answered a tenth of a second later."""
    ended = began + 0.1 if status else NEVER
    given = {"server": "A", "session": "s", "ended": ended, **given}
    return Call(verb=verb, began=began, status=status, **given)


def refresh(began: float, generation: int, key: str | None, **given: Any) -> Call:
    """An honest success, but for what is given."""
    grown = given.setdefault("grown", generation + 1)
    given.setdefault("successor", f"token {grown}")
    return call("refresh", began, generation=generation, key=key, **given)


def refused(began: float, generation: int, key: str | None, code: str) -> Call:
    return call("refresh", began, 401, generation=generation, key=key, code=code)


START = [call("login", 0, grown=0), refresh(1, 0, "k0"), refresh(2, 1, "k1")]
LOGOUT = call("logout", 3, generation=2)


@pytest.mark.parametrize(
    ("broken", "more"),
    [
        (OUTSIDE, [call("refresh", 3, 500)]),
        (OUTSIDE, [call("refresh", 3, 503, code="store_unavailable")]),
        (OUTSIDE, [call("refresh", 3, 400, code="retry_key_reused")]),
        (FORK, [refresh(3, 1, "k1", successor="another")]),
        (TWICE, [refresh(3, 1, "k2")]),
        (TWICE, [refresh(3, 1, None)]),
        (GROWTH, [refresh(3, 2, "k2", grown=4)]),
        (LOST, [refresh(3, 0, "k0")]),
        (ALIVE, [LOGOUT, refresh(4, 2, "k2")]),
        (ALIVE, [LOGOUT, call("secure", 3.2)]),
        (ALIVE, [call("logout", 2, 503, retry_after=True), LOGOUT, call("secure", 4)]),
        (ALIVE, [refused(3, 0, None, "refresh_reused"), refresh(4, 2, "k2")]),
        (OUT, [refused(3, 2, "k2", "session_revoked")]),
        (OUT, [refused(2.5, 2, "k2", "session_revoked"), LOGOUT]),
        (OUT, [LOGOUT, refused(4, 2, "k2", "refresh_invalid")]),
        (OUT, [call("secure", 3, 401, code="token_revoked")]),
    ],
)
def test_each_broken_promise_is_found(broken: str, more: list[Call]) -> None:
    """A history that is fine but for one answer shows that promise, broken by it."""
    found = violations([*START, *more])
    assert {one.promise for one in found} == {broken}


def test_rewound_beyond_what_was_lost_is_found() -> None:
    """Without a failover at all, twice in one, by more than its tail had."""
    once, tail = Rewound("s", 2), Tail(1, 2)
    assert violations(START, [once], tails=[tail], may_rewind=2) == []
    for events, tails, limit in (
        ([once], [], 2),
        ([once, once], [tail], 2),
        ([once], [tail], 1),
    ):
        found = violations(START, events, tails=tails, may_rewind=limit)
        assert {one.promise for one in found} == {LOST}


@pytest.mark.parametrize(
    "more",
    [
        [refresh(3, 2, "k2", status=0), refresh(4, 2, "k2")],
        [refresh(3, 1, "k1"), refresh(3, 1, "k1", server="B")],
        [call("refresh", 3, 503, retry_after=True), refresh(4, 2, "k2")],
        [call("logout", 3, 0), refused(4, 2, "k2", "session_revoked")],
        [call("logout", 3, 0), refresh(4, 2, "k2")],
        [LOGOUT, call("secure", 3.2, server="B")],
        [LOGOUT, call("secure", 3.05)],
        [refresh(3, 2, None), refused(4, 2, "k2", "refresh_reused")],
    ],
)
def test_what_the_rule_explains_passes(more: list[Call]) -> None:
    """Lost answers, retries, races and thefts that end well break no promise."""
    assert violations([*START, *more]) == []


def test_the_tail_of_a_failover_may_be_gone_and_no_more() -> None:
    """A sign-in in it may be unknown, a logout in it undone; neither before it."""
    unknown = refused(5, 2, "k2", "refresh_invalid")
    undone = [LOGOUT, refresh(5, 2, "k2")]
    assert violations([*START, unknown], tails=[Tail(0, 4)]) == []
    assert violations([*START, unknown], tails=[Tail(2, 4)]) != []
    assert violations([*START, *undone], tails=[Tail(2.5, 4)]) == []
    assert violations([*START, *undone], tails=[Tail(3.5, 4)]) != []
    assert violations([*START, *undone], tails=[Tail(2.5, 4, waited=True)]) != []
