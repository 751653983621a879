"""`watchword clients`: the programs that may ask for tokens, and their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.output import counted, table, tell, utc, visible
from watchword.cli.progress import elapsing
from watchword.cli.running import every_row, existing, options, with_engine
from watchword.core import limits

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword


@click.group()
def clients() -> None:
    """OAuth clients: add, list, rotate-secret, disable, enable.

    The native login needs none: its sessions are of the built-in client first-party.
    """


@clients.command()
@click.argument("name")
@click.option("--confidential", is_flag=True, help="Give it a secret.")
@click.option("--scope", multiple=True, help="A scope it may ask for; repeatable.")
@click.option("--audience", multiple=True, help="An API its tokens are for; likewise.")
@click.option("--access-ttl", metavar="TIME", help="Life of its access tokens: 5m.")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    help="refresh_token or client_credentials, instead of what it would get: both if "
    "confidential, none with --right; repeatable.",
)
@click.option(
    "--right", "rights", multiple=True, help="introspect or feed; repeatable."
)
@click.option("--dpop", is_flag=True, help="No token without a DPoP proof.")
@options
def add(
    name: str,
    access_ttl: str | None,
    grants: tuple[str, ...],
    data: Path | None,
    as_json: bool,
    **terms: Any,  # noqa: ANN401 - Clients.add's, by their names
) -> None:
    """Make a client whose id is NAME. Its secret is shown once, and kept nowhere."""
    life = None if access_ttl is None else _milliseconds(access_ttl)

    async def work(watchword: Watchword) -> str | None:
        _, secret = await watchword.clients.add(
            name, access_ttl=life, grants=grants or None, **terms
        )
        return secret

    secret = with_engine(existing(data), work)
    kind = "public" if secret is None else "confidential"
    _show_secret(as_json, f"Made the {kind} client {visible(name)}.", name, secret)


def _milliseconds(text: str) -> int:
    from pydantic import TypeAdapter, ValidationError

    from watchword.config import Seconds

    try:
        seconds: int = TypeAdapter(Seconds).validate_python(text)
    except ValidationError:
        raise click.UsageError("--access-ttl is a time such as 90s or 5m.") from None
    return seconds * limits.SECOND


def _show_secret(as_json: bool, done: str, name: str, secret: str | None) -> None:
    if secret is not None:
        done += f" This is its secret, shown only now:\n{secret}"
    tell(as_json, done, clientId=name, clientSecret=secret)


@clients.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show all clients that were added."""

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        rows = await every_row(watchword.clients.list, lambda row: row.id)
        return [
            {
                "clientId": row.id,
                "type": "public" if row.secret_hash is None else "confidential",
                "state": "disabled" if row.disabled else "enabled",
                "grants": list(row.grants),
                "rights": list(row.rights),
                "scope": list(row.scope),
                "audience": list(row.audience),
                "accessTtl": row.access_ttl and f"{row.access_ttl // 1000}s",
                "dpop": row.dpop,
                "createdAt": utc(row.created_at),
            }
            for row in rows
        ]

    table(as_json, with_engine(existing(data), work), "There are no clients.")


@clients.command("rotate-secret")
@click.argument("name")
@options
def rotate_secret(name: str, data: Path | None, as_json: bool) -> None:
    """Give a client a new secret, shown once. The old one works a second more."""
    secret = with_engine(existing(data), lambda w: w.clients.rotate_secret(name))
    done = f"Changed the secret of {visible(name)}."
    _show_secret(as_json, done, name, secret)


@clients.command()
@click.argument("name")
@options
def disable(name: str, data: Path | None, as_json: bool) -> None:
    """Accept a client no more, and end its sessions."""
    with elapsing("Ending sessions"):
        count = with_engine(existing(data), lambda w: w.clients.disable(name))
    done = f"Disabled {visible(name)}; ended {counted(count, 'session')}."
    tell(as_json, done, clientId=name, revoked=count)


@clients.command()
@click.argument("name")
@options
def enable(name: str, data: Path | None, as_json: bool) -> None:
    """Accept a client again. Its old sessions stay ended."""
    with_engine(existing(data), lambda w: w.clients.enable(name))
    tell(as_json, f"Enabled {visible(name)}.", clientId=name)
