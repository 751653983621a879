"""How work that is done again and again has gone lately."""

from __future__ import annotations

from watchword.core.turns import SHOWN, Turns


def test_the_slowest_of_the_latest_turns_is_shown() -> None:
    assert Turns().slowest is None
    turns = Turns()
    for seconds in (9.0, *[1.0] * (SHOWN - 1)):
        turns.note(seconds)
    assert turns.slowest == 9.0
    turns.note(2.0, failed=True)
    assert (turns.slowest, turns.is_failing) == (2.0, True)
    turns.note(1.0)
    assert not turns.is_failing
