"""`watchword migrate`, `check`, `openapi` and `inspect`: for operators and CI."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.running import options, settings_of, tell, utc, with_engine
from watchword.core.session import as_text
from watchword.errors import RefreshError, SettingsError, WatchwordError

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword


@click.command()
@click.option("--plan", is_flag=True, help="Only show what would be applied.")
@click.option("--check", is_flag=True, help="Exit with 1 where anything is pending.")
@options
def migrate(plan: bool, check: bool, data: Path | None, as_json: bool) -> None:
    """Bring the store's schema up to date. SQLite does so by itself at every start."""
    from watchword.stores.sqlite import database

    settings = settings_of(data)
    path = database.path_of(settings.database_url)
    if not path.exists() and (plan or check):
        pending = database.migrations()
    else:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = database.connect(path)
        pending = database.pending(connection)
        if not (plan or check):
            database.migrate(connection)
        connection.close()
    names = [migration.name for migration in pending]
    verb = "Pending" if plan or check else "Applied"
    tell(as_json, f"{verb}: {', '.join(names) or 'nothing'}.", migrations=names)
    if check and pending:
        sys.exit(1)


@click.command()
@options
def check(data: Path | None, as_json: bool) -> None:
    """Check the settings, and the store where there is one. Exit code 0 or 1."""
    faults: list[str] = []
    try:
        settings = settings_of(data)
        if settings.data.exists():
            with_engine(data, lambda watchword: watchword.check())
    except SettingsError as error:
        faults = error.faults
    except WatchwordError as error:
        faults = [str(error)]
    if as_json or not faults:
        tell(as_json, "Nothing is wrong.", faults=faults)
    else:
        for fault in faults:
            click.echo(f"watchword: {fault}", err=True)
    if faults:
        sys.exit(1)


@click.command()
@options
def openapi(data: Path | None, as_json: bool) -> None:
    """Print the OpenAPI document."""
    from watchword.server.openapi import document

    del data, as_json
    click.echo(json.dumps(document(), indent=2))


@click.command()
@options
def inspect(data: Path | None, as_json: bool) -> None:
    """Tell what a token on standard input is. Exit code 0 if it works now.

    Never give a token as an argument: others on the machine can read those.
    """
    token = sys.stdin.read().strip()
    facts = with_engine(data, lambda watchword: _inspect(watchword, token))
    if as_json:
        click.echo(json.dumps(facts))
    else:
        for name, value in facts.items():
            click.echo(f"{name}: {value}")
    if facts["state"] != "works":
        sys.exit(1)


async def _inspect(watchword: Watchword, token: str) -> dict[str, Any]:
    if token.startswith("ww_rt_"):
        return await _inspect_refresh(watchword, token)
    try:
        claims = watchword.verifier.verify_signature(token)
    except WatchwordError:
        return {"kind": "unknown", "state": "not a token of this server"}
    state = "works"
    try:
        watchword.verifier.verify(token)
    except WatchwordError as error:
        state = error.code
    shown = {name: getattr(claims, name) for name in claims.__struct_fields__}
    given = {name: value for name, value in shown.items() if value}
    return {"kind": "access token", "state": state, **given}


async def _inspect_refresh(watchword: Watchword, token: str) -> dict[str, Any]:
    try:
        session = await watchword.sessions.session_of(token)
        generation = watchword.sessions.generation_of(token)
    except RefreshError:
        return {"kind": "refresh token", "state": "refresh_invalid"}
    facts: dict[str, Any] = {"kind": "refresh token"}
    if session is None:
        return {**facts, "state": "no such session"}
    state = "works"
    if session.revoked_at is not None:
        state = "session_revoked"
    elif watchword.clock() >= session.idle_expires_at:
        state = "session_expired"
    elif generation != session.generation:
        state = "spent"
    return {
        **facts,
        "state": state,
        "session": as_text(session.id),
        "subject": as_text(session.account_id),
        "generation": generation,
        "current generation": session.generation,
        "signed in": utc(session.authenticated_at),
        "expires": utc(session.idle_expires_at),
        "revoked reason": session.revoked_reason,
    }
