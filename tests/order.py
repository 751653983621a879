"""The order in which pytest-xdist hands out the files of a run, and what goes together.

tests/browser   in one worker, which starts first: a Chromium costs two seconds of the
                processor, and each worker would start one
tests/faults    spread over the run: most of it waits, for a server to start, to fail
                over, to be missed; side by side it would leave processors idle
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Final

import pytest

BROWSER: Final = "tests/browser/"
_FAULTS: Final = "tests/faults/"


def scope_of(nodeid: str) -> str:
    """What a worker is given as a whole: a file, or all that one Chromium serves."""
    file = nodeid.partition("::")[0]
    return BROWSER if file.startswith(BROWSER) else file


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The same tests, file by file."""
    files = [list(some) for _, some in groupby(items, lambda one: scope_of(one.nodeid))]
    first = [one for one in files if scope_of(one[0].nodeid) == BROWSER]
    waiting = [one for one in files if one[0].nodeid.startswith(_FAULTS)]
    rest = [one for one in files if one not in first and one not in waiting]
    return list(chain.from_iterable([*first, *_spread(waiting, rest)]))


def _spread(
    few: Sequence[list[pytest.Item]], many: Sequence[list[pytest.Item]]
) -> Iterable[list[pytest.Item]]:
    """All of them: as many of the others between any two of the few."""
    step = len(many) // (len(few) + 1) if few else len(many)
    for number, one in enumerate(many):
        if step and number % step == 0 and number // step < len(few):
            yield few[number // step]
        yield one
    placed = -(-len(many) // step) if step else 0
    yield from few[placed:]
