"""What a forked child process has to begin anew: locks, threads, connections."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Begins(Protocol):
    """Something with state of one process."""

    def begin_anew(self) -> None:
        """Forget the state of the parent process: called in a child, once."""


# Weakly, and with one hook for all: what `os.register_at_fork` has is never let go.
_KNOWN: Final[weakref.WeakSet[Begins]] = weakref.WeakSet()


def begin_anew_in_children(one: Begins) -> None:
    """Have `one.begin_anew` called in each child process, as long as `one` is there."""
    _KNOWN.add(one)


def _in_child() -> None:
    for one in list(_KNOWN):
        one.begin_anew()


os.register_at_fork(after_in_child=_in_child)
