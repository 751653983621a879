"""`watchword sessions`: list sessions, and end them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.common import (
    every_session,
    existing,
    operator,
    options,
    with_engine,
)
from watchword.cli.output import counted, table, tell, utc
from watchword.cli.progress import elapsing
from watchword.core.actor import EndReason
from watchword.core.session import Session, as_text, from_text
from watchword.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports.sessions import Selector

_END_OF_TIME = 2**62


@click.group()
def sessions() -> None:
    """Sessions: list, revoke."""


@sessions.command("list")
@click.option("--user", "name", help="Only this account's.")
@options
def list_(name: str | None, data: Path | None, as_json: bool) -> None:
    """Show sessions that have not ended, newest sign-in first."""
    settings = existing(data)

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        names: dict[bytes, str | None] = {}
        account_id = None
        if name is not None:
            account = await watchword.accounts.find(name)
            account_id, names[account.id] = account.id, account.name
        return [
            _row(
                row,
                await _name_of(watchword, row.account_id, names),
                watchword.sessions.ends_at(row),
            )
            for row in await _living(watchword, account_id)
        ]

    rows = with_engine(settings, work)
    hidden = ("subject", "expiresAt", "startedFrom")
    table(as_json, rows, "There are no sessions.", leave_out=hidden)


async def _living(watchword: Watchword, account_id: bytes | None) -> list[Session]:
    """The live sessions of an account, or of all accounts (None)."""
    return await every_session(partial(watchword.sessions.page, account_id))


async def _name_of(
    watchword: Watchword, account_id: bytes, names: dict[bytes, str | None]
) -> str | None:
    if account_id not in names:
        account = await watchword.stores.accounts.by_id(account_id)
        names[account_id] = None if account is None else account.name
    return names[account_id]


def _row(row: Session, name: str | None, ends_at: int) -> dict[str, Any]:
    return {
        "id": as_text(row.id),
        "user": name,
        "subject": as_text(row.account_id),
        "clientId": row.client_id,
        "signedInAt": utc(row.authenticated_at),
        "lastRefreshAt": utc(row.rotated_at),
        "expiresAt": utc(ends_at),
        "refreshes": row.generation,
        "address": row.address,
        "userAgent": row.user_agent,
        "startedFrom": None if row.started_from is None else as_text(row.started_from),
    }


@sessions.command()
@click.argument("session_id", metavar="[ID]", required=False)
@click.option("--user", "name", help="All of this account's.")
@click.option("--all", "everything", is_flag=True, help="All there are.")
@click.option("--before", metavar="TIME", help="All signed in before (ISO 8601, UTC).")
@options
def revoke(
    session_id: str | None,
    name: str | None,
    everything: bool,
    before: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """End one session, an account's, those signed in before a time, or all.

    With the sign-in of a browser (_pages) the sessions end that it let in. A running
    server refuses their access tokens within a second. An id that the store does not
    know exits with 1.
    """
    chosen = [session_id is not None, name is not None, everything, before is not None]
    if sum(chosen) != 1:
        raise click.UsageError("Give exactly one of ID, --user, --all and --before.")
    instant = _END_OF_TIME if before is None else _instant(before)

    from watchword.ports.sessions import ById

    async def work(watchword: Watchword) -> int:
        selector = await _selector(watchword, session_id, name, instant)
        one = selector.session_id if isinstance(selector, ById) else None
        if one is not None and await watchword.sessions.get(one) is None:
            raise NotFound("There is no session of that id.")
        reason = EndReason.REVOKED_BY_OPERATOR
        return await watchword.sessions.revoke(selector, reason, by=operator())

    with elapsing("Ending sessions"):
        count = with_engine(existing(data), work)
    tell(as_json, f"Ended {counted(count, 'session')}.", revoked=count)


async def _selector(
    watchword: Watchword, session_id: str | None, name: str | None, instant: int
) -> Selector:
    from watchword.ports.sessions import Before, ByAccount, ById

    if session_id is not None:
        identifier = from_text(session_id.strip().lower())
        if identifier is None:
            raise InvalidRequest(
                "A session id looks like 01234567-89ab-7cde-8f01-23456789abcd."
            )
        return ById(identifier)
    if name is not None:
        return ByAccount((await watchword.accounts.find(name)).id)
    return Before(instant)


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise click.UsageError(f"{text!r} is no ISO 8601 time.") from None
