"""Recovery codes: ten at a time, 24 characters of Crockford's base32 (120 bits)."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.clocks import Clock, Entropy
from watchword.ports.credentials import Credential


class RecoveryCodes:
    """Makes recovery codes, and finds the row of one."""

    def __init__(self, *, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def make(self, account_id: bytes) -> tuple[tuple[str, ...], list[Credential]]:
        """Ten codes as they are shown, once, and their rows.

        A code is shown in six groups of four; spaces, hyphens and case do not matter.
        """
        raise NotImplementedError

    def find(self, rows: Sequence[Credential], code: str) -> Credential | None:
        """The row of that code among those of one user; None for any other text."""
        raise NotImplementedError
