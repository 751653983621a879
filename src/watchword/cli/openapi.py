"""`watchword openapi`: prints the description of the API."""

from __future__ import annotations

import json
from pathlib import Path

import click

from watchword.cli.common import options


@click.command()
@options
def openapi(data: Path | None, as_json: bool) -> None:
    """Print the OpenAPI document."""
    from watchword.server.endpoints import ENDPOINTS
    from watchword.server.openapi import document

    del data, as_json  # the document is JSON, and the same for every store
    click.echo(json.dumps(document(ENDPOINTS), indent=2))
