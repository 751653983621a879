"""What the console calls things that have no name of their own."""

from __future__ import annotations

from typing import Final

from watchword.core.policies import PAGES
from watchword.core.session import AAL2

_OF_PAGES: Final = "the pages"


def client_name(client_id: str) -> str:
    """The id of a client; that of the pages of this server in words."""
    return _OF_PAGES if client_id == PAGES else client_id


def level_name(acr: str) -> str:
    """How much a user has proved."""
    return "two factors" if acr >= AAL2 else "one factor"
