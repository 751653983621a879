"""The id of each request: in the log, in the answer, and on the page for an error.

It names a request and is no secret. A trusted proxy may have given one already: then
its log and this one can be read together.
"""

from __future__ import annotations

import logging
import random
import re
from contextvars import ContextVar
from typing import Final

from starlette.types import Scope

HEADER: Final = b"x-request-id"
REQUEST_ID: Final = "watchword.request_id"
"""Where a scope has the id, as text."""

_USABLE: Final = re.compile(rb"(?!ww_|eyJ)[A-Za-z0-9._:/+=-]{1,64}")
"""What an id may be. A token is none, wherever it came from."""
_BITS: Final = 80
current: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""That of the request under way. What it begins in the background has it too."""


class RequestIds:
    """Ids that no other process draws. A count would tell how busy a server is."""

    def __init__(self) -> None:
        self._draw = random.Random().getrandbits  # noqa: S311 - it is no secret

    def name(self, scope: Scope) -> None:
        """Give the request an id, unless its proxy has; it is the current one then."""
        if REQUEST_ID not in scope:
            scope[REQUEST_ID] = f"{self._draw(_BITS):020x}"
        current.set(scope[REQUEST_ID])


def given_id(scope: Scope) -> str | None:
    """The id that a proxy has given to the request; None where there is none."""
    found = [value for name, value in scope["headers"] if name == HEADER]
    if len(found) != 1 or not _USABLE.fullmatch(found[0]):
        return None
    return str(found[0], "ascii")


class WithRequestId(logging.Filter):
    """Gives each record of the log the id of the request that it is about, or ""."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current.get()
        return True
