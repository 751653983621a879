"""`watchword audit`: show the audit log, and follow it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.audit import facts_of
from watchword.cli.common import existing, options, with_engine
from watchword.cli.output import visible

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports.audit import Event

_PAGE = 500
_POLL_SECONDS = 0.5


@click.command()
@click.option("--follow", is_flag=True, help="Go on as events come.")
@click.option(
    "--after", type=click.IntRange(min=0), help="Start behind this sequence number."
)
@options
def audit(
    follow: bool,
    after: int | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show the audit events, oldest first, one line each. Times are UTC.

    --follow starts at the end unless --after is given.
    """

    async def work(watchword: Watchword) -> None:
        seen = after or 0
        if follow and after is None:
            seen = await watchword.stores.audit.last()
        while True:
            events = await watchword.stores.audit.read(seen, _PAGE)
            for sequence, event in events:
                click.echo(_line(sequence, event, as_json=as_json))
                seen = sequence
            if len(events) < _PAGE:
                if not follow:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    try:
        with_engine(existing(data), work)
    except KeyboardInterrupt:
        if not follow:
            raise


def _line(sequence: int, event: Event, *, as_json: bool) -> str:
    facts = facts_of(sequence, event)
    if as_json:
        return json.dumps(facts)
    named = {name: facts[name] for name in ("subject", "session", "client", "address")}
    shown = {name: value for name, value in named.items() if value} | facts["detail"]
    pairs = [f"{name}={visible(value)}" for name, value in shown.items()]
    return " ".join([str(sequence), facts["at"], facts["type"], *pairs])
