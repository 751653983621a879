"""Which proofs were used, in this process's memory.

Good enough for resource servers because nonces are of the process too: a proof that was
used here has a nonce that no other process accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from watchword.core import limits
from watchword.errors import Overloaded


class UsedOnce:
    """What the port's `use_once` does, bounded. `clock` gives milliseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._until: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._until)

    async def __call__(self, keys: Sequence[tuple[bytes, int]]) -> list[bool]:
        """For each key, whether it is named for the first time.

        Raises Overloaded where no more can be remembered: to forget one would be to
        accept it again.
        """
        self._forget_expired()
        if len(self._until) + len(keys) > limits.PROOFS_REMEMBERED:
            raise Overloaded
        first = []
        for key, until in keys:
            first.append(key not in self._until)
            self._until.setdefault(key, until)
        return first

    def _forget_expired(self) -> None:
        """From the front: they come about in the order in which they expire."""
        now, over = self._clock(), []
        for key, until in self._until.items():
            if until > now:
                break
            over.append(key)
        for key in over:
            del self._until[key]
