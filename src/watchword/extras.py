"""Imports of optional dependencies: one that fails says which extra to install."""

from __future__ import annotations

from types import TracebackType
from typing import Final

_OURS: Final = "watchword"


class needs:  # noqa: N801 - a `with` statement, as contextlib's are named
    """A block for the imports of an extra: one that fails names what to install.

    Where blocks are nested, the outermost one names it: the FastAPI integration asks
    for `watchword[fastapi]`, whichever of its packages is missing. Raises
    ModuleNotFoundError.
    """

    def __init__(self, requirement: str) -> None:
        self._requirement = requirement

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if isinstance(error, ModuleNotFoundError):
            raise lacking(error, self._requirement) from None


def lacking(error: ModuleNotFoundError, requirement: str) -> ModuleNotFoundError:
    """The error with what to install. If our own module is missing, the same error."""
    name = (error.name or "").partition(".")[0]
    if name in {"", _OURS}:
        return error
    message = f"{name} is not installed here: install {requirement}"
    return ModuleNotFoundError(message, name=error.name)
