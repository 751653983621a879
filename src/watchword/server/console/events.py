"""The audit log: a list with filters, which can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from watchword.core.session import as_text
from watchword.ports.audit import Event, EventType
from watchword.server.console.screens import Screen
from watchword.webhooks.topics import GROUPS, TOPICS, topics_of

GRAVE: Final = frozenset((EventType.TOKEN_REUSE, EventType.CODE_REUSED))
WORTH_A_LOOK: Final = frozenset(
    (
        EventType.SIGN_IN_THROTTLED,
        EventType.CLIENT_FAILED,
        EventType.MAIL_FAILED,
        EventType.PASSKEY_COUNTER,
        EventType.TOKEN_REWOUND,
        EventType.WEBHOOK_FAILED,
    )
)
NOTABLE: Final = GRAVE | WORTH_A_LOOK
"""Types of event that have a badge. Failed sign-ins are too many for one each."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the list. `account` is a subject, `name` its name, if it has one."""

    sequence: int
    at: int
    word: str
    kind: str
    account: str
    name: str
    session: str
    client: str
    address: str
    detail: str


class Filters(msgspec.Struct, frozen=True):
    """What was typed into the filters: they stand in the address as they are."""

    type: str = ""
    account: str = ""
    address: str = ""
    session: str = ""
    since: str = ""
    until: str = ""

    @property
    def query(self) -> dict[str, str]:
        """Their parameters."""
        given = msgspec.structs.asdict(self)
        given["from"], given["to"] = given.pop("since"), given.pop("until")
        return {name: value for name, value in given.items() if value}


class Events(Screen, frozen=True, kw_only=True):
    """The list. `is_later`: it does not begin with the newest. `last` is followed."""

    template = "events.html"
    here = "events"

    title: str = "Events"
    filters: Filters
    lines: Sequence[Line] = ()
    next: str | None = None
    is_later: bool = False
    last: int = 0
    days: int

    @property
    def types(self) -> Mapping[str, Sequence[str]]:
        """What the filter offers, by group; types without a topic by their names."""
        offered = {
            group: [group, *(one for one in TOPICS if one.startswith(group[:-1]))]
            for group in GROUPS
        }
        rest = [
            kind.value for kind in EventType if not topics_of(Event(type=kind, at=0))
        ]
        return offered | {"others": rest}


class EventRows(Screen, frozen=True, kw_only=True):
    """The rows alone, for a list that follows."""

    template = "event-rows.html"
    here = "events"

    title: str = ""
    lines: Sequence[Line]


def badge_of(kind: EventType) -> str:
    """The colour of the badge, or ""."""
    if kind in GRAVE:
        return "bad"
    return "warn" if kind in WORTH_A_LOOK else ""


def line_of(sequence: int, event: Event, names: Mapping[bytes, str]) -> Line:
    """The event, where `names` are those of accounts by id."""
    account = event.account_id
    return Line(
        sequence=sequence,
        at=event.at,
        word=(topics_of(event) or (event.type.value,))[0],
        kind=badge_of(event.type),
        account="" if account is None else as_text(account),
        name="" if account is None else names.get(account, ""),
        session="" if event.session_id is None else as_text(event.session_id),
        client=event.client_id or "",
        address=event.address,
        detail=detail_of(event),
    )


def detail_of(event: Event) -> str:
    """The detail in words: `by admin, reason disabled`."""
    said = []
    for name, value in event.detail.items():
        words = name.replace("_", " ")
        if value is True:
            said.append(words)
        elif value is not False:
            said.append(f"{words} {value}")
    return ", ".join(said)
