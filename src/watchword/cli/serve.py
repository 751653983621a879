"""`watchword serve`: prepare once, tell a new operator what to do, then serve."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from watchword.cli.common import in_json, options, settings_of
from watchword.cli.output import tell, visible
from watchword.core.network import is_loopback
from watchword.errors import SettingsError

if TYPE_CHECKING:
    from watchword.config import Settings
    from watchword.first_start import Prepared


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (8000); 0: a free one.")
@click.option("--workers", type=int, help="Server processes (1).")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="PEM file.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file.")
@click.option("--issuer", help="The URL that callers use (http://127.0.0.1:8000).")
@click.option(
    "--behind-proxy",
    multiple=True,
    metavar="CIDR",
    help="Proxies to believe about the client; they must speak HTTPS to it.",
)
@options
def serve(
    as_json: bool,
    data: Path | None,
    behind_proxy: tuple[str, ...],
    **flags: Any,  # noqa: ANN401 - settings, checked as such
) -> None:
    """Run the server. The first start makes a secret, a key and the first account.

    A port that is in use, or TLS files that do not fit, exit with 2 and make nothing.
    """
    try:
        flags["behind_proxy"] = " ".join(behind_proxy) or None
        settings = settings_of(data, **flags)
        if settings.log_format == "json":
            as_json = in_json()
        _serve(settings, as_json=as_json)
    except KeyboardInterrupt:  # also before it serves: it was asked to stop
        sys.exit(0)


def _serve(settings: Settings, *, as_json: bool) -> None:
    # What modules make stays: to look for garbage in it is a tenth of a start.
    gc.disable()
    from watchword.server import as_bound, bind, file_faults, log_to_standard_error, run

    gc.enable()
    if settings.log_format == "json":  # what is logged before it serves, too
        log_to_standard_error(settings.log_format)
    if faults := list(file_faults(settings)):
        raise SettingsError(faults)
    # Bound before anything is made, so that a start that cannot serve leaves nothing
    # behind.
    with bind(settings) as listeners:
        settings = as_bound(settings, listeners)
        _prepare(settings, as_json=as_json)
        run(settings, listeners)


def _prepare(settings: Settings, *, as_json: bool) -> None:
    """Make what a first start needs, and tell the operator what was made."""
    from watchword.bootstrap.parts import mail_destination
    from watchword.first_start import prepare
    from watchword.secret_files import ADMIN_PASSWORD_FILE

    prepared = asyncio.run(prepare(settings))
    kept = None
    # The password is printed only to a terminal: a log might keep it for years.
    if prepared.admin_password is not None and (as_json or not sys.stdout.isatty()):
        kept = settings.data / ADMIN_PASSWORD_FILE
    url = _address(settings)
    mail = mail_destination(settings)
    lines = _made(prepared, kept)
    pages = f"{url}/{_first_page(settings)}"
    lines += [f"API   {url}/api/auth", f"Docs  {url}/docs", f"Pages {pages}"]
    console = _console(settings, url)
    lines += [f"Admin {console}"] if console else []
    lines += [f"Mail  {mail}", "", *_first_factor(settings, prepared)]
    lines += ["Try it:", _curl(settings, url, prepared, kept)]
    tell(
        as_json,
        "\n".join(lines) + "\n",
        api=f"{url}/api/auth",
        docs=f"{url}/docs",
        pages=pages,
        console=console,
        mail=mail,
        madeSecret=None if prepared.made_secret is None else str(prepared.made_secret),
        adminPasswordFile=None if kept is None else str(kept),
    )
    if prepared.admin_password is not None and kept is None:
        (settings.data / ADMIN_PASSWORD_FILE).unlink(missing_ok=True)


def _made(prepared: Prepared, kept: Path | None) -> list[str]:
    """What a first start has made, as lines for the operator."""
    lines, secret, name = [], prepared.made_secret, visible(prepared.admin)
    if secret is not None:
        lines.append(
            f"*** MADE A SERVER SECRET in {secret}: back it up, apart from the "
            "database. In production give WATCHWORD_SECRET. ***"
        )
    if kept is not None:
        lines.append(
            f"Made the account {name}. Its password is in {kept}: read it, then "
            "delete the file."
        )
    elif prepared.admin_password is not None:
        lines.append(
            f"Made the account {name}. Password, shown only now: "
            f"{prepared.admin_password}"
        )
    return [*lines, ""] if lines else []


def _first_factor(settings: Settings, prepared: Prepared) -> list[str]:
    """What the new first account needs where a second factor is demanded of it.

    It has no mail address, so an operator's token is its only way in.
    """
    from watchword.bootstrap.parts import command_line
    from watchword.factors.policy import SecondFactorPolicy

    policy = SecondFactorPolicy(settings.second_factor)
    demands = policy.demands([settings.admin_role], [])
    if not (prepared.is_first and demands):
        return []
    name = visible(prepared.admin)
    command = command_line(settings, "user", "enrol-code", prepared.admin)
    return [
        f"{name} needs a second factor, and has no mail address: the first sign-in, on",
        "the page or by `watchword login`, asks for a token. Make it:",
        f"  {visible(command)}",
        "",
    ]


def _address(settings: Settings) -> str:
    """The URL at which callers reach the server.

    That is the issuer if the server has HTTPS, is behind a proxy, or has an issuer of
    this machine and port, such as http://localhost:8000: passkeys work there alone. In
    plain HTTP on loopback the issuer may name a later, public address: then it is the
    local one.
    """
    issuer = settings.effective_issuer.rstrip("/")
    scheme, at, path, *_ = urlsplit(issuer)
    is_here = settings.is_local and at.endswith(f":{settings.port}")
    is_served = scheme == "http" and not path and is_here
    if settings.tls_cert or settings.behind_proxy or is_served:
        return issuer
    return settings.model_copy(update={"issuer": None}).effective_issuer


def _console(settings: Settings, url: str) -> str | None:
    """The address of the console; None where no browser could open it."""
    listener = settings.admin_listen
    if settings.console == "off":
        return None
    if listener is not None:
        scheme = "https" if settings.tls_cert else "http"
        return f"{scheme}://{listener}/console"
    if settings.console == "on":
        return f"{url}/console"
    if settings.behind_proxy or not is_loopback(settings.host):
        return None
    # By loopback alone: also where callers use another name.
    if not settings.is_local:
        url = settings.model_copy(update={"issuer": None}).effective_issuer
    return f"{url}/console"


def _first_page(settings: Settings) -> str:
    is_open = settings.registration == "open"
    return "register" if is_open and settings.effective_mail_url else "sign-in"


def _curl(settings: Settings, url: str, prepared: Prepared, kept: Path | None) -> str:
    """A command line to try the server: a sign-in if the password is known."""
    how = "curl -s"
    if settings.issuer is None and settings.tls_cert is not None:
        # Without an issuer the certificate is probably self-signed, for trying out.
        how += f" --cacert {quote(str(settings.tls_cert))}"
    elif settings.issuer is None and settings.behind_proxy:
        how += " -H 'X-Forwarded-Proto: https'"
    if prepared.admin_password is None:
        return f"  {how} {quote(f'{url}/readyz')}"
    names = {"username": prepared.admin, "password": prepared.admin_password}
    body = quote(json.dumps(names))
    if kept is not None:
        # What the shell reads from the file follows the quoted rest.
        before, after = quote(json.dumps(names | {"password": "\0"})).split(r"\u0000")
        body = f"""{before}'"$(cat {quote(str(kept.absolute()))})"'{after}"""
    return (
        f"  {how} {quote(f'{url}/api/auth/login')} "
        f"-H 'Content-Type: application/json' \\\n    -d {body}"
    )
