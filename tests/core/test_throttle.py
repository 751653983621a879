"""The throttle's arithmetic: a burst, then one per interval, and it runs down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchword.core.limits import CLOCK_SKEW
from watchword.core.throttle import Cost, give_back, take

NOW = 1_800_000_000_000
COST = Cost("name:x", 3, 1000)


def attempts(cost: Cost, instants: list[int]) -> list[bool]:
    """Which attempts, made at these instants, are let through."""
    counters: dict[str, int | None] = {}
    passed = []
    for now in instants:
        taken, wait = take(counters, [cost], now)
        counters |= taken
        passed.append(wait == 0)
    return passed


def test_a_burst_passes_and_the_next_has_to_wait_one_interval() -> None:
    assert attempts(COST, [NOW] * 5) == [True, True, True, False, False]
    assert attempts(COST, [NOW] * 3 + [NOW + 999, NOW + 1000, NOW + 1000]) == [
        *[True, True, True],
        *[False, True, False],
    ]


def test_the_wait_is_exact_and_a_refused_attempt_costs_nothing() -> None:
    counters: dict[str, int | None] = {}
    for _ in range(3):
        counters |= take(counters, [COST], NOW)[0]
    taken, wait = take(counters, [COST], NOW + 300)
    assert (taken, wait) == ({}, 700)
    assert take(counters, [COST], NOW + 300 + wait)[1] == 0


def test_a_counter_that_has_run_down_allows_the_whole_burst_again() -> None:
    late = NOW + 3000
    assert attempts(COST, [NOW] * 4 + [late] * 4) == [
        *[True, True, True, False],
        *[True, True, True, False],
    ]


def test_all_counters_are_taken_or_none() -> None:
    wide = Cost("address:y", 100, 10)
    full = {COST.key: NOW + 3000, wide.key: NOW}
    assert take(full, [wide, COST], NOW) == ({}, 1000)
    taken, wait = take({}, [wide, COST], NOW)
    assert wait == 0
    assert taken == {wide.key: NOW + 10, COST.key: NOW + 1000}


def test_the_longest_wait_of_all_counters_counts() -> None:
    other = Cost("address:y", 1, 5000)
    counters = {COST.key: NOW + 3000, other.key: NOW + 5000}
    assert take(counters, [COST, other], NOW)[1] == 5000


@given(
    burst=st.integers(1, 20),
    interval=st.integers(1, 10_000),
    gaps=st.lists(st.integers(0, 20_000), max_size=60),
)
def test_never_more_than_burst_and_one_per_interval(
    burst: int, interval: int, gaps: list[int]
) -> None:
    """In any stretch of time: its length in intervals, and the burst, and no more."""
    instants = [NOW]
    for gap in gaps:
        instants.append(instants[-1] + gap)
    passed = attempts(Cost("k", burst, interval), instants)
    through = [at for at, ok in zip(instants, passed, strict=True) if ok]
    for first in range(len(through)):
        for last in range(first, len(through)):
            stretch = through[last] - through[first]
            assert last - first + 1 <= burst + stretch // interval


@given(counter=st.one_of(st.none(), st.integers(NOW - 9000, NOW + 2000)))
def test_what_is_given_back_had_never_been(counter: int | None) -> None:
    taken, wait = take({COST.key: counter}, [COST], NOW)
    assert wait == 0
    left = give_back(taken[COST.key], COST)
    assert left == max(counter or 0, NOW)


def test_a_clock_set_back_locks_nobody_out() -> None:
    """A counter that was made when the clock was a year ahead counts for nothing."""
    counters: dict[str, int | None] = {COST.key: NOW + 365 * 86_400_000}
    assert take(counters, [COST], NOW) == ({COST.key: NOW + COST.interval}, 0)


def test_a_server_whose_clock_is_behind_forgets_no_full_counter() -> None:
    """A caller would have a burst there for each attempt at the other one."""
    full = {COST.key: NOW + COST.burst * COST.interval}
    for behind in (1, CLOCK_SKEW):
        wait = behind + COST.interval
        assert take(full, [COST], NOW - behind) == ({}, wait)
    assert take(full, [COST], NOW - CLOCK_SKEW - 1)[1] == 0
