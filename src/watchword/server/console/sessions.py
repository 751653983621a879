"""Live sessions of all accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from watchword.core.session import Session, as_text
from watchword.server.console.screens import Screen
from watchword.server.console.words import client_name, level_name
from watchword.server.pages.devices import browser_of, system_of


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a list. `is_this`: the operator looks at the console by it."""

    id: str
    account: str
    name: str
    client: str
    device: str
    address: str
    level: str
    since: int
    used: int
    is_this: bool


class Sessions(Screen, frozen=True, kw_only=True):
    """The list. `account` and `client` are what was searched for.

    `before` is what was typed as the time to end all sessions before. `is_later`: it
    does not begin with the newest.
    """

    template = "sessions.html"
    here = "sessions"

    title: str = "Sessions"
    account: str = ""
    client: str = ""
    before: str = ""
    lines: Sequence[SessionLine] = ()
    next: str | None = None
    is_later: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the search."""
        return {"account": self.account, "client": self.client}

    @property
    def is_asking(self) -> bool:
        """Whether the time to end all sessions before has to be typed anew."""
        return any(fault.field == "before" for fault in self.faults)


def session_line(
    session: Session, names: Mapping[bytes, str], this: bytes
) -> SessionLine:
    """The session, where `names` are those of accounts by id; `this` is one's own."""
    return SessionLine(
        id=as_text(session.id),
        account=as_text(session.account_id),
        name=names.get(session.account_id, ""),
        client=client_name(session.client_id),
        device=device_of(session.user_agent),
        address=session.address,
        level=level_name(session.acr),
        since=session.authenticated_at,
        used=session.rotated_at,
        is_this=session.id == this,
    )


def device_of(user_agent: str) -> str:
    """`Firefox on Linux`, or as much of it as is known."""
    known = (browser_of(user_agent), system_of(user_agent))
    return " on ".join(filter(None, known)) or "unknown device"
