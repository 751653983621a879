"""The root of all errors."""

from __future__ import annotations

from typing import ClassVar


class WatchwordError(Exception):
    """The root of all errors. ``code`` is stable: programs may branch on it."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)
