"""`watchword migrate`: brings the store's schema up to date."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from watchword.cli.common import existing, options
from watchword.cli.output import tell
from watchword.cli.progress import elapsing


@click.command()
@click.option("--plan", is_flag=True, help="Only show what would be applied.")
@click.option(
    "--check", is_flag=True, help="Apply nothing; exit with 1 if one is pending."
)
@options
def migrate(plan: bool, check: bool, data: Path | None, as_json: bool) -> None:
    """Bring the store's schema up to date. SQLite does so by itself at every start."""
    from watchword.stores import migrate_store

    looking = plan or check
    url = existing(data, secret=False).database_url
    with elapsing("Reading the schema" if looking else "Migrating"):
        found = asyncio.run(migrate_store(url, apply=not looking))
    names = [migration.name for migration in found]
    if names:
        sentence = f"{'Pending' if looking else 'Applied'}: {', '.join(names)}."
    else:
        sentence = "Nothing is pending."
    tell(as_json, sentence, **{"pending" if looking else "applied": names})
    if check and names:
        sys.exit(1)
