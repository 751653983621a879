"""What sends one delivery, and what came back: `posting` does it by HTTP.

That loads a library, and the authorities that it trusts, for some tenths of a second.
So what asks for a transport knows only this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """The status, and the beginning of the body; None and a reason if none came.

    `wait` is how long the receiver asked to be left alone, in milliseconds.
    """

    status: int | None
    text: str
    wait: int = 0


class Transport(Protocol):
    """Sends deliveries."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool
    ) -> Answer:
        """Send it once. Raises nothing but CancelledError."""
