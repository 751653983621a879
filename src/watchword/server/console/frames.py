"""What surrounds a screen of the console."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec

from watchword.server.returning import CONSOLE

MENU: Final = {
    "overview": "Overview",
    "accounts": "Accounts",
    "sessions": "Sessions",
    "clients": "Clients",
    "events": "Events",
    "keys": "Keys",
    "mail": "Invitations and mail",
    "webhooks": "Webhooks",
    "health": "Health and settings",
}
"""The screens of the menu: the last part of the path of each, and its name."""


class ConsoleFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds a screen.

    host     the server, from the issuer and never from the request
    name     the account of the operator
    subject  its id
    token    what a form is sent with, against forged requests (`server/csrf.py`)
    up       what leads from the address of this screen to where the pages are
    place    the address of this screen, seen from a page: a proof leads back to it
    proved   the instant of the operator's latest proof (ms)
    recent   whether that is good enough to change something
    account  whether the page of the operator's own account is here too
    notice   what was just done, or refused: its sentence; and whether it is a refusal
    """

    host: str
    name: str
    subject: str
    token: str
    up: str
    place: str
    proved: int
    recent: bool
    account: bool = True
    notice: str = ""
    is_refusal: bool = False

    def link(self, screen: str, **query: str | int | None) -> str:
        """The address of a screen. What is None or empty is left out of its query."""
        return _address(f"{self.up}{CONSOLE}/{screen}", query)

    def page(self, page: str, **query: str | int | None) -> str:
        """The address of a page for users."""
        return _address(f"{self.up}{page}", query)


def _address(path: str, query: dict[str, str | int | None]) -> str:
    given = {name: value for name, value in query.items() if value not in {None, ""}}
    return f"{path}?{urlencode(given)}" if given else path
