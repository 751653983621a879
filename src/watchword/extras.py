"""What an install without extras lacks is said where it is imported."""

from __future__ import annotations

from types import TracebackType
from typing import Final

_OURS: Final = "watchword"


class needs:  # noqa: N801 - a `with` statement, as contextlib's are named
    """For imports of what an extra brings: one that fails names what to install.

    The outermost names it: FastAPI's part asks for `watchword[fastapi]`, whatever of
    that is missing. Raises ModuleNotFoundError.
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
    """The same error, with what to install; as it was where a module of ours lacks."""
    name = (error.name or "").partition(".")[0]
    if name in {"", _OURS}:
        return error
    message = f"{name} is not installed here: install {requirement}"
    return ModuleNotFoundError(message, name=error.name)
