"""`watchword keys`: what signs access tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.output import table, tell, utc, visible
from watchword.cli.running import existing, options, with_engine

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword


@click.group()
def keys() -> None:
    """Signing keys: list, rotate, retire."""


@keys.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show the keys: next is published, active signs, retired still verifies."""

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        return [
            {
                "kid": row.kid,
                "alg": row.alg,
                "state": row.state,
                "since": utc(row.changed_at),
            }
            for row in watchword.keys.rows
        ]

    table(as_json, with_engine(existing(data), work), "There are no keys.")


@keys.command()
@options
def rotate(data: Path | None, as_json: bool) -> None:
    """Sign with the next key from now on; tokens of the old one stay good."""
    kid = with_engine(existing(data), lambda watchword: watchword.keys.rotate())
    tell(as_json, f"{kid} signs from now on.", active=kid)


# One key id in 64 begins with a dash: here it is no option, and no short one is either.
@keys.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.argument("kid")
@options
def retire(kid: str, data: Path | None, as_json: bool) -> None:
    """Drop a key at once, for an emergency: its tokens are refused."""
    with_engine(existing(data), lambda watchword: watchword.keys.retire(kid))
    tell(as_json, f"{visible(kid)} is gone; clients refresh their tokens.", retired=kid)
