"""What the throttles of passwords and of client secrets share."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from watchword.core import limits

_KEPT: Final = 10_000


class Seldom:
    """Once a minute for each key: attempts may flood, audit events may not.

    Memory, not state: what is forgotten costs a repeated event at most.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, int] = OrderedDict()

    def is_due(self, key: str, now: int) -> bool:
        """Whether to tell it now; if so, not again for a minute."""
        told = self._told.get(key)
        # The distance is absolute: a clock set back silences nothing.
        if told is not None and abs(now - told) < limits.MINUTE:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _KEPT:
            self._told.popitem(last=False)
        return True
