"""`watchword clients`: the programs that may ask for tokens, and their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.cli.common import every_row, existing, operator, options, with_engine
from watchword.cli.output import counted, table, tell, utc, visible
from watchword.cli.progress import elapsing
from watchword.core import limits

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword


_GRACE: Final = (
    "How long a spent refresh token counts as a retry, from the network that spent it: "
    "0s to 60s."
)


@click.group()
def clients() -> None:
    """OAuth clients: add, list, update, rotate-secret, disable, enable.

    The native login needs none: its sessions are of the built-in client first-party.
    """


@clients.command()
@click.argument("name")
@click.option("--confidential", is_flag=True, help="Give it a secret.")
@click.option("--scope", multiple=True, help="A scope it may ask for; repeatable.")
@click.option(
    "--audience", multiple=True, help="An API its tokens are for; repeatable."
)
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
@click.option(
    "--checks-dpop",
    is_flag=True,
    help="With the right introspect: it checks the proofs of tokens that are bound.",
)
@click.option(
    "--grace",
    metavar="TIME",
    default="10s",
    show_default=True,
    help=_GRACE,
)
@options
def add(
    name: str,
    access_ttl: str | None,
    grace: str,
    grants: tuple[str, ...],
    data: Path | None,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - Clients.add's, by their names
) -> None:
    """Make a client with the id NAME. Its secret is shown once, and kept nowhere."""
    life = None if access_ttl is None else _milliseconds("--access-ttl", access_ttl)
    lenient = _milliseconds("--grace", grace)

    async def work(watchword: Watchword) -> str | None:
        _, secret = await watchword.clients.add(
            name,
            access_ttl=life,
            grace=lenient,
            grants=grants or None,
            by=operator(),
            **given,
        )
        return secret

    secret = with_engine(existing(data), work)
    kind = "public" if secret is None else "confidential"
    _show_secret(as_json, f"Made the {kind} client {visible(name)}.", name, secret)


def _milliseconds(option: str, text: str) -> int:
    from pydantic import TypeAdapter, ValidationError

    from watchword.config.values import Seconds

    try:
        seconds: int = TypeAdapter(Seconds).validate_python(text)
    except ValidationError:
        raise click.UsageError(f"{option} is a time such as 90s or 5m.") from None
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
                "checksDpop": row.checks_dpop,
                "grace": f"{row.grace // 1000}s",
                "createdAt": utc(row.created_at),
            }
            for row in rows
        ]

    table(as_json, with_engine(existing(data), work), "There are no clients.")


@clients.command()
@click.argument("name")
@click.option("--grace", metavar="TIME", help=_GRACE)
@click.option(
    "--checks-dpop/--no-checks-dpop",
    default=None,
    help="Whether it checks the proofs of bound tokens that it introspects.",
)
@options
def update(
    name: str,
    grace: str | None,
    checks_dpop: bool | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Change a client. A new grace is for sessions that begin from now on."""
    if grace is None and checks_dpop is None:
        raise click.UsageError("Give --grace, --checks-dpop or --no-checks-dpop.")
    lenient = None if grace is None else _milliseconds("--grace", grace)

    async def work(watchword: Watchword) -> None:
        await watchword.clients.update(
            name, grace=lenient, checks_dpop=checks_dpop, by=operator()
        )

    with_engine(existing(data), work)
    tell(as_json, f"Changed the client {visible(name)}.", clientId=name)


@clients.command("rotate-secret")
@click.argument("name")
@options
def rotate_secret(name: str, data: Path | None, as_json: bool) -> None:
    """Give a client a new secret, shown once. The old one works a second more."""
    secret = with_engine(
        existing(data), lambda w: w.clients.rotate_secret(name, by=operator())
    )
    done = f"Changed the secret of {visible(name)}."
    _show_secret(as_json, done, name, secret)


@clients.command()
@click.argument("name")
@options
def disable(name: str, data: Path | None, as_json: bool) -> None:
    """Accept a client no more, and end its sessions."""
    with elapsing("Ending sessions"):
        count = with_engine(
            existing(data), lambda w: w.clients.disable(name, by=operator())
        )
    done = f"Disabled {visible(name)}; ended {counted(count, 'session')}."
    tell(as_json, done, clientId=name, revoked=count)


@clients.command()
@click.argument("name")
@options
def enable(name: str, data: Path | None, as_json: bool) -> None:
    """Accept a client again. Its old sessions stay ended."""
    with_engine(existing(data), lambda w: w.clients.enable(name, by=operator()))
    tell(as_json, f"Enabled {visible(name)}.", clientId=name)
