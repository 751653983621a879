"""What a forked child process has to make anew: locks, threads, connections."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class PerProcess(Protocol):
    """An object with state that belongs to one process."""

    def reset_after_fork(self) -> None:
        """Forget the state of the parent process. Called once in each child."""


# Weak references and one hook for all objects, because `os.register_at_fork` never
# releases what it was given.
_KNOWN: Final[weakref.WeakSet[PerProcess]] = weakref.WeakSet()


def reset_in_forked_children(one: PerProcess) -> None:
    """Have `one.reset_after_fork` called in each child, as long as `one` exists."""
    _KNOWN.add(one)


def _in_child() -> None:
    for one in list(_KNOWN):
        one.reset_after_fork()


os.register_at_fork(after_in_child=_in_child)
