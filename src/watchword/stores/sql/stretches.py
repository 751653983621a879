"""Many sessions: each statement looks at one stretch of ids, so that none runs long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import END_LIMIT, LIST_LOOK_FEW, SWEEP_LOOK
from watchword.core.session import Alive, Ended
from watchword.ports.audit import Event
from watchword.ports.sessions import (
    Before,
    ByAccount,
    ByClient,
    ById,
    Selector,
    SessionPage,
    page_of,
)
from watchword.stores.sql.database import Database
from watchword.stores.sql.rows import AFTER_ALL, Row, can_be_stored, session_of

Ending: TypeAlias = Callable[
    [EndReason, Event, Sequence[bytes]], Awaitable[Sequence[Ended]]
]
"""Ends the live ones of these sessions, and returns their feed entries."""

OVER_AT_ONCE: Final = (
    "sweep_throttle",
    "sweep_used_once",
    "sweep_registrations",
    "sweep_confirmations",
    "sweep_credentials",
    "sweep_held",
)
"""The statements that sweep rows which are over at an instant of their own."""


async def found(
    database: Database, name: str, values: Row, after: bytes, limit: int
) -> tuple[list[bytes], bytes | None]:
    """The ids that match in the next stretch of rows, and where to go on.

    The second value is None after the last stretch.
    """
    rows = await database.query(name, *values, after, SWEEP_LOOK, limit)
    return [one for one, meant in rows if meant], rows[-1][0] if rows else None


class Stretches:
    """Implements `list`, `end` and `assign_roles` of `SessionStore`.

    `end_these` is called with reason, event and ids. `live` is the statement that finds
    the live sessions of an account, and its values after the account's id.
    """

    def __init__(
        self, database: Database, end_these: Ending, live: tuple[str, Row]
    ) -> None:
        self._database = database
        self._end_these = end_these
        self._live = live

    async def list_sessions(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
        client_id: str | None = None,
    ) -> SessionPage:
        if not can_be_stored(client_id or ""):
            return SessionPage([])
        is_short = look <= LIST_LOOK_FEW
        query = self._database.read if is_short else self._database.query
        begin = AFTER_ALL if after is None else after
        suffix, mine = (
            ("", ()) if account_id is None else ("_of_account", (account_id,))
        )
        stretch = await query("stretch" + suffix, begin, *mine, look)
        if not stretch:
            return SessionPage([])
        ((end, count),) = stretch
        meant = (*msgspec.structs.astuple(alive), client_id, *mine)
        rows = await query("list_sessions" + suffix, begin, end, limit, *meant)
        page = [session_of(row) for row in rows]
        return page_of(page, end if count == look else None, limit)

    async def end(
        self, selector: Selector, reason: EndReason, event: Event, limit: int
    ) -> Sequence[Ended]:
        if isinstance(selector, ById):
            return await self._end_these(reason, event, [selector.session_id])
        name, values = _search(selector)
        onward: bytes | None = selector.after
        ended: list[Ended] = []
        while onward is not None and len(ended) < limit:
            left = limit - len(ended)
            ids, onward = await found(self._database, name, values, onward, left)
            if ids:
                ended += await self._end_these(reason, event, ids)
        return ended

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        name, more = self._live
        find = self._database, name, (account_id, *more)
        given = " ".join(roles)
        onward: bytes | None = b""
        while onward is not None:
            ids, onward = await found(*find, onward, END_LIMIT)
            rows = [(one, given) for one in ids]
            await self._database.write_many("assign_roles", rows)


def _search(selector: ByAccount | ByClient | Before) -> tuple[str, Row]:
    """The statement that finds these sessions, and its first values."""
    match selector:
        case ByAccount(account_id, but):
            return "find_of_account", (account_id, but)
        case ByClient(client_id):
            return "find_of_client", (client_id,)
    return "find_signed_in_before", (selector.instant,)
