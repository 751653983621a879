"""Keys that may be used once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ReplayCache(Protocol):
    """Keys that may be used once, such as DPoP proofs (RFC 9449 §11.1).

    Processes also use them to agree which one sweeps.
    """

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        """For each key, whether this call is the first one of all callers to use it.

        Each key comes with the instant (ms) until which it MUST be kept; later it may
        be forgotten at any time. No key may come twice in one call.
        """
