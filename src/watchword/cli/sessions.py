"""`watchword sessions`: who is signed in where, and ending it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.running import options, table, tell, utc, with_engine
from watchword.core.session import Session, as_text, from_text
from watchword.errors import NotFound

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports import Which

_PAGE = 500
_EVERYTHING = 2**62


@click.group()
def sessions() -> None:
    """Sessions: list, revoke."""


@sessions.command("list")
@click.option("--user", "name", help="Only this account's.")
@options
def list_(name: str | None, data: Path | None, as_json: bool) -> None:
    """Show sessions that have not ended."""

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        if name is not None:
            account = await watchword.accounts.get(name)
            rows = await watchword.sessions.list_of_account(account.id)
            return [_row(row) for row in rows]
        shown: list[dict[str, Any]] = []
        after = None
        while True:
            page = await watchword.store.list_sessions(None, after=after, limit=_PAGE)
            shown += [
                _row(row) for row in page if row.idle_expires_at > _now(watchword)
            ]
            if len(page) < _PAGE:
                return shown
            after = page[-1].id

    table(as_json, with_engine(data, work), "There are no sessions.")


@sessions.command()
@click.argument("session_id", required=False)
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

    A running server refuses their access tokens within a second.
    """
    if [session_id, name, everything or None, before].count(None) != 3:  # noqa: PLR2004
        raise click.UsageError("Give one of ID, --user, --all, --before.")
    instant = None if before is None else _instant(before)

    async def work(watchword: Watchword) -> int:
        which = await _which(watchword, session_id, name, instant)
        return await watchword.sessions.revoke(which, "revoked by operator", by="cli")

    count = with_engine(data, work)
    word = "session" if count == 1 else "sessions"
    tell(as_json, f"Ended {count} {word}.", revoked=count)


async def _which(
    watchword: Watchword, session_id: str | None, name: str | None, before: int | None
) -> Which:
    from watchword.ports import (
        OfAccount,
        OneSession,
        SignedInBefore,
    )

    if session_id is not None:
        identifier = from_text(session_id)
        if identifier is None:
            raise NotFound(
                "A session id looks like 01234567-89ab-7cde-8f01-23456789abcd."
            )
        return OneSession(identifier)
    if name is not None:
        return OfAccount((await watchword.accounts.get(name)).id)
    return SignedInBefore(_EVERYTHING if before is None else before)


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no ISO 8601 time.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _now(watchword: Watchword) -> int:
    return watchword.clock()


def _row(row: Session) -> dict[str, Any]:
    return {
        "id": as_text(row.id),
        "subject": as_text(row.account_id),
        "signed in": utc(row.authenticated_at),
        "last refresh": utc(row.rotated_at),
        "refreshes": row.generation,
        "address": row.address,
        "device": row.user_agent,
    }
