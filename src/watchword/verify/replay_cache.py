"""Which DPoP proofs were used, in the memory of this process.

This is enough for resource servers, because their nonces belong to one process too: a
proof that was used here has a nonce that no other process accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from watchword.errors import Overloaded
from watchword.verify import bounds


class MemoryReplayCache:
    """The port's `use_once` in memory, bounded. `clock` gives milliseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._until: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._until)

    async def __call__(self, keys: Sequence[tuple[bytes, int]]) -> list[bool]:
        """For each key, whether this is its first use.

        Raises Overloaded where no more keys can be remembered: a key that is forgotten
        would be accepted again.
        """
        self._forget_expired()
        if len(self._until) + len(keys) > bounds.PROOFS_REMEMBERED:
            raise Overloaded
        first = []
        for key, until in keys:
            first.append(key not in self._until)
            self._until.setdefault(key, until)
        return first

    def _forget_expired(self) -> None:
        """Drop expired keys from the front: keys come roughly in order of expiry."""
        now, over = self._clock(), []
        for key, until in self._until.items():
            if until > now:
                break
            over.append(key)
        for key in over:
            del self._until[key]
