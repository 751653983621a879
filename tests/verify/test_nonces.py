"""Nonces: demanded of every proof, good for minutes and for one kind of place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verify.proving import Place
from watchword.core import limits
from watchword.testing import ManualClock
from watchword.verify import Nonces


@pytest.fixture
def place() -> Place:
    return Place()


WRONG_NONCES: tuple[Any, ...] = (..., None, "", "x", 1, True, [], {}, "é")


@pytest.mark.parametrize("nonce", WRONG_NONCES)
async def test_without_a_current_nonce_it_is_told_and_nothing_is_used(
    nonce: Any, place: Place
) -> None:
    assert await place.code_of(place.proof(nonce=nonce)) == "use_dpop_nonce"
    assert not place.used


async def test_nonces_of_one_kind_of_place_are_none_of_the_others() -> None:
    clock = ManualClock()
    here, there = Place("token", clock), Place("resource", clock)
    proof = here.proof(nonce=there.nonces.current())
    assert await here.code_of(proof) == "use_dpop_nonce"
    assert await there.code_of(proof) == "ok"


def test_a_nonce_lives_for_its_steps_and_one_before_them() -> None:
    clock = ManualClock()
    ours, theirs = Nonces([b"k"], "r", clock), Nonces([b"k"], "r", clock)
    made = ours.current()
    step, steps = limits.DPOP_NONCE_STEP, limits.DPOP_NONCE_STEPS
    assert clock.now % step == 0
    for ahead, good in (
        *((0, True), (step - 1, True), ((steps - 1) * step, True)),
        *((steps * step - 1, True), (steps * step, False), (100 * step, False)),
        # A worker whose clock is behind by less than a step, or by more.
        *((-1, True), (-step, True), (-step - 1, False)),
    ):
        clock.advance(ahead)
        assert theirs.accepts(made) == good, ahead
        assert (theirs.current() == made) == (0 <= ahead < step)
        clock.advance(-ahead)


def test_a_change_of_the_secret_loses_no_nonce() -> None:
    """Verified everywhere first, then minted with, as the refresh tokens' secret."""
    clock = ManualClock()
    old, new = (Nonces([name], "r", clock) for name in (b"old", b"new"))
    both, after = Nonces([b"old", b"new"], "r", clock), Nonces([b"new"], "r", clock)
    promoted = Nonces([b"new", b"old"], "r", clock)
    assert both.current() == old.current() != new.current() == promoted.current()
    for nonces in (both, promoted):
        assert nonces.accepts(old.current())
        assert nonces.accepts(new.current())
    assert not after.accepts(old.current())


def test_a_nonce_needs_no_quoting_and_differs_by_step_key_and_role() -> None:
    clock = ManualClock()
    made = set()
    for _ in range(50):
        for key, role in ((b"k", "r"), (b"l", "r"), (b"k", "s")):
            made.add(Nonces([key], role, clock).current())
        clock.advance(limits.DPOP_NONCE_STEP)
    assert len(made) == 150
    # RFC 9449 §8.1: NQCHAR.
    forbidden = set(' "\\')
    for nonce in made:
        assert nonce.isascii()
        assert nonce.isprintable()
        assert len(nonce) == 24
        assert not forbidden & set(nonce)
