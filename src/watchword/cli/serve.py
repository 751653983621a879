"""`watchword serve`: prepare once, tell a new user what they need, then serve."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.cli.running import options, settings_of

if TYPE_CHECKING:
    from watchword.bootstrap import Prepared
    from watchword.config import Settings


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (8000).")
@click.option("--workers", type=int, help="Server processes (1).")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM file.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file.")
@click.option(
    "--behind-proxy",
    multiple=True,
    metavar="CIDR",
    help="Proxies to believe about the client; they must speak HTTPS to it.",
)
@options
def serve(
    data: Path | None,
    as_json: bool,
    host: str | None,
    port: int | None,
    workers: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: tuple[str, ...],
) -> None:
    """Run the server. The first start makes a secret, a key and the account admin."""
    from watchword.bootstrap import prepare
    from watchword.server import run

    del as_json  # what a server prints is for people; its log is on standard error
    settings = settings_of(
        data,
        host=host,
        port=port,
        workers=workers,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=" ".join(behind_proxy) or None,
    )
    _welcome(settings, asyncio.run(prepare(settings)))
    run(settings)


def _welcome(settings: Settings, prepared: Prepared) -> None:
    url = settings.effective_issuer
    if prepared.made_secret is not None:
        click.echo(
            f"Made a server secret in {prepared.made_secret}: back it up, apart from "
            "the database. In production give WATCHWORD_SECRET."
        )
    if prepared.admin_password is not None:
        _show_password(settings, prepared.admin_password)
    click.echo(f"API   {url}/api/auth\nDocs  {url}/docs\n\nTry it:")
    click.echo(
        f"  curl -s {url}/api/auth/login -H 'Content-Type: application/json' \\\n"
        '    -d \'{"username":"admin","password":"…"}\'\n'
    )


def _show_password(settings: Settings, password: str) -> None:
    click.echo("Made the account admin.")
    if sys.stdout.isatty():
        click.echo(f"Its password, shown only now: {password}")
        return
    # Not a terminal: what is printed may be kept in a log for years.
    path = settings.data / "admin-password"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
    click.echo(f"Its password is in {path}: read it, then delete the file.")
