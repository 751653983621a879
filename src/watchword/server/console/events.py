"""The audit log: a list with filters, which can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from watchword.core.actor import Actor
from watchword.core.session import as_text, from_text
from watchword.ports.audit import Event, EventType
from watchword.server.console.screens import Screen
from watchword.server.console.words import client_name, level_name
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


_SENTENCES: Final = {
    EventType.TOKEN_REUSE: "A spent refresh token came again: its session ended",
    EventType.CODE_REUSED: "An authorization code came again: its session ended",
    EventType.SIGN_IN_THROTTLED: "Too many tries to sign in",
    EventType.CLIENT_FAILED: "A client could not show that it is itself",
    EventType.MAIL_FAILED: "A message could not be sent",
    EventType.PASSKEY_COUNTER: "A passkey may have been copied: its counter went back",
    EventType.TOKEN_REWOUND: "The store had lost a write, and took the session back",
    EventType.WEBHOOK_FAILED: "A webhook does not take its deliveries",
}
"""What the notable ones mean."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the list. `account` is a subject, `name` its name, if it has one.

    `sentence` says what a notable one means, and `times` how often it came in a row.
    """

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
    sentence: str = ""
    times: int = 1


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
        client=client_name(event.client_id or ""),
        address=event.address,
        detail=detail_of(event, names),
        sentence=_SENTENCES.get(event.type, ""),
    )


def detail_of(event: Event, names: Mapping[bytes, str]) -> str:
    """The detail in words: `logout`, `change roles, by admin mara`."""
    said = []
    for name, value in event.detail.items():
        words = name.replace("_", " ")
        if name in {"reason", "amr"}:
            said.append(str(value))
        elif name == "acr":
            said.append(level_name(str(value)))
        elif value is True:
            said.append(words)
        elif value is not False and name not in {"by", "operator"}:
            said.append(f"{words} {value}")
    return ", ".join([*said, *_by(event, names)])


def operator_of(event: Event) -> bytes | None:
    """The account of the admin that caused it, if one did."""
    if event.detail.get("by") != Actor.ADMIN:
        return None
    return from_text(str(event.detail.get("operator", "")))


def _by(event: Event, names: Mapping[bytes, str]) -> list[str]:
    """The actor, unless it is the user itself, with its name."""
    actor = event.detail.get("by", Actor.USER)
    if actor == Actor.USER:
        return []
    name = str(event.detail.get("operator", ""))
    account = operator_of(event)
    if account is not None:
        name = names.get(account, name)
    return [f"by {actor} {name}".rstrip()]


def collapsed(lines: Sequence[Line]) -> Sequence[Line]:
    """Those that say the same in a row, as one: the newest."""
    found: list[Line] = []
    for line in lines:
        last = found[-1] if found else None
        if last is not None and _same(last) == _same(line):
            found[-1] = replace(last, times=last.times + 1)
        else:
            found.append(line)
    return found


def _same(line: Line) -> tuple[str, ...]:
    return line.word, line.account, line.client, line.address
