"""Accounts by what an operator types, and names by what the engine says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from starlette.requests import Request

from watchword.errors import InvalidRequest, NotFound
from watchword.ports.accounts import Account
from watchword.ports.audit import Event
from watchword.server.console.events import Line, line_of, operator_of
from watchword.server.parsing import engine_of


async def names_of(request: Request, ids: Iterable[bytes | None]) -> dict[bytes, str]:
    """The names of the accounts that are there still, by id."""
    accounts = engine_of(request).stores.accounts
    wanted = [one for one in dict.fromkeys(ids) if one is not None]
    found = await asyncio.gather(*map(accounts.by_id, wanted))
    return {one.id: one.name for one in found if one is not None}


async def account_of(request: Request, text: str) -> Account | None:
    """The account of that subject, name or address; None if there is none."""
    registry = engine_of(request).accounts
    try:
        return await registry.get_by_subject(text)
    except NotFound:
        pass
    try:
        return await registry.find(text)
    except (NotFound, InvalidRequest):
        return None


async def event_lines(
    request: Request, found: Sequence[tuple[int, Event]]
) -> Sequence[Line]:
    """Events as lists show them."""
    accounts = [event.account_id for _, event in found]
    operators = [operator_of(event) for _, event in found]
    names = await names_of(request, [*accounts, *operators])
    return [line_of(sequence, event, names) for sequence, event in found]
