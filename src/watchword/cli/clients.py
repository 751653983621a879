"""`watchword clients`: the programs that may ask for tokens, and their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.cli.common import every_row, existing, operator, options, with_engine
from watchword.cli.output import counted, facts, table, tell, utc, visible
from watchword.cli.progress import elapsing
from watchword.core import limits

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports.clients import Client


_GRACE: Final = (
    "How long a spent refresh token counts as a retry, from the network that spent it: "
    "0s to 60s."
)


@click.group()
def clients() -> None:
    """OAuth clients: add, list, show, update, rotate-secret, disable, enable.

    The native login needs none: its sessions are of the built-in client first-party.
    """


_PKCE: Final = ("required", "optional")
_NAME: Final = "What users are shown, instead of its id."
_TRUSTED: Final = (
    "Users are not asked for consent. They are where it is public and gets its answer "
    "on their own machine: any program there could be it."
)
_ALG_HELP: Final = "What signs its ID tokens: RS256 (the default), ES256, EdDSA."
_PKCE_HELP: Final = (
    "Whether it has to send a PKCE challenge. Optional is for a confidential client "
    "that cannot: only its nonce then protects it from an injected code."
)


_RIGHT: Final = "introspect, feed, admin:read or admin:write"
_BY_BROWSER: Final = ("post_logout_redirect_uris", "trusted", "par")
"""What is of use to a client that sends users here, and to no other."""


@clients.command()
@click.argument("client_id", metavar="NAME")
@click.option(
    "--confidential/--public",
    default=None,
    help="Whether it gets a secret: a server can keep one, an app on a device or in a "
    "browser cannot. Public if left out, but for --pkce optional, and for a right to "
    "administer.",
)
@click.option(
    "--redirect",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where users come back to after a sign-in; repeatable.",
)
@click.option(
    "--post-logout",
    "post_logout_redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where users may come back to after a sign-out; repeatable.",
)
@click.option("--name", help=_NAME)
@click.option("--trusted", is_flag=True, help=_TRUSTED)
@click.option("--pkce", type=click.Choice(_PKCE), help=_PKCE_HELP)
@click.option("--par", is_flag=True, help="It has to push its requests (RFC 9126).")
@click.option("--id-token-alg", metavar="ALG", help=_ALG_HELP)
@click.option("--scope", multiple=True, help="A scope it may ask for; repeatable.")
@click.option(
    "--audience", multiple=True, help="An API its tokens are for; repeatable."
)
@click.option("--access-ttl", metavar="TIME", help="Life of its access tokens: 5m.")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    help="authorization_code, refresh_token or client_credentials, instead of what it "
    "would get: the first two with --redirect, otherwise none with --right, the last "
    "two if confidential, refresh_token if public; and the last one with a right to "
    "administer; repeatable.",
)
@click.option("--right", "rights", multiple=True, help=f"{_RIGHT}; repeatable.")
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
    client_id: str,
    confidential: bool | None,
    access_ttl: str | None,
    grace: str,
    grants: tuple[str, ...],
    name: str | None,
    pkce: str | None,
    id_token_alg: str | None,
    data: Path | None,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - Clients.add's, by their names
) -> None:
    """Make a client with the id NAME. Its secret is shown once, and kept nowhere."""
    from watchword.clients.rules import is_admin

    is_optional = pkce == "optional"
    needs_secret = is_optional or is_admin(given["rights"])
    if id_token_alg is not None:
        given["id_token_alg"] = id_token_alg

    async def work(watchword: Watchword) -> tuple[str | None, str]:
        _, secret = await watchword.clients.add(
            client_id,
            confidential=needs_secret if confidential is None else confidential,
            access_ttl=life,
            grace=lenient,
            grants=grants or None,
            name=name or "",
            pkce=not is_optional,
            by=operator(),
            **given,
        )
        return secret, watchword.issuer

    life = None if access_ttl is None else _milliseconds("--access-ttl", access_ttl)
    lenient = _milliseconds("--grace", grace)
    settings = existing(data)
    secret, issuer = with_engine(settings, work)
    kind = "public" if secret is None else "confidential"
    done = f"Made the {kind} client {visible(client_id)}."
    if given["redirect_uris"]:
        done += f" It finds all that it needs at the issuer {issuer}."
        if settings.issuer is None:  # nor are the flags of the server known here
            done += " A server that was started with another --port has another one."
    elif any(given[name] for name in _BY_BROWSER):
        done += " It cannot send users here to sign in: it has no --redirect."
    _show_secret(as_json, done, client_id, secret)


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
        return [
            _row(one)
            for one in await every_row(watchword.clients.list, lambda row: row.id)
        ]

    table(as_json, with_engine(existing(data), work), "There are no clients.")


@clients.command()
@click.argument("name")
@options
def show(name: str, data: Path | None, as_json: bool) -> None:
    """Show all that is known of a client, but for its secret."""
    client = with_engine(existing(data), lambda w: w.clients.get(name))
    facts(
        as_json,
        {
            **_row(client),
            "name": client.name,
            "redirectUris": list(client.redirect_uris),
            "postLogoutRedirectUris": list(client.post_logout_redirect_uris),
            "idTokenAlg": client.id_token_alg,
            "trusted": client.trusted,
            "pkce": _PKCE[not client.pkce and client.secret_hash is not None],
            "par": client.par,
        },
    )


def _row(client: Client) -> dict[str, Any]:
    return {
        "clientId": client.id,
        "type": "public" if client.secret_hash is None else "confidential",
        "state": "disabled" if client.disabled else "enabled",
        "grants": list(client.grants),
        "rights": list(client.rights),
        "scope": list(client.scope),
        "audience": list(client.audience),
        "accessTtl": client.access_ttl and f"{client.access_ttl // 1000}s",
        "dpop": client.dpop,
        "checksDpop": client.checks_dpop,
        "grace": f"{client.grace // 1000}s",
        "createdAt": utc(client.created_at),
    }


@clients.command()
@click.argument("client_id", metavar="NAME")
@click.option("--grace", metavar="TIME", help=_GRACE)
@click.option(
    "--checks-dpop/--no-checks-dpop",
    default=None,
    help="Whether it checks the proofs of bound tokens that it introspects.",
)
@click.option("--name", help=_NAME)
@click.option("--scope", "add_scope", multiple=True, help="One more scope; repeatable.")
@click.option(
    "--remove-scope",
    "remove_scope",
    multiple=True,
    help="A scope to ask for no more; repeatable.",
)
@click.option(
    "--audience", "add_audience", multiple=True, help="One more API; repeatable."
)
@click.option(
    "--remove-audience",
    "remove_audience",
    multiple=True,
    help="An API to have no tokens for; repeatable.",
)
@click.option("--right", "add_rights", multiple=True, help=f"{_RIGHT}; repeatable.")
@click.option(
    "--remove-right",
    "remove_rights",
    multiple=True,
    help="A right to have no more; repeatable.",
)
@click.option(
    "--redirect",
    "add_redirect_uris",
    multiple=True,
    metavar="URI",
    help="One more redirect URI; repeatable.",
)
@click.option(
    "--remove-redirect",
    "remove_redirect_uris",
    multiple=True,
    metavar="URI",
    help="A redirect URI to forget; repeatable.",
)
@click.option(
    "--post-logout",
    "add_post_logout_redirect_uris",
    multiple=True,
    metavar="URI",
    help="One more URI for after a sign-out; repeatable.",
)
@click.option(
    "--remove-post-logout",
    "remove_post_logout_redirect_uris",
    multiple=True,
    metavar="URI",
    help="A URI for after a sign-out to forget; repeatable.",
)
@click.option(
    "--trusted/--no-trusted",
    default=None,
    help=_TRUSTED,
)
@click.option("--pkce", type=click.Choice(_PKCE), help=_PKCE_HELP)
@click.option(
    "--par/--no-par", default=None, help="Whether it has to push its requests."
)
@click.option("--id-token-alg", metavar="ALG", help=_ALG_HELP)
@options
def update(
    client_id: str,
    grace: str | None,
    pkce: str | None,
    data: Path | None,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - Clients.update's, by their names
) -> None:
    """Change a client.

    Grace, scopes and audiences are for sessions that begin from now on.
    """
    given = {name: value for name, value in given.items() if value not in (None, ())}
    if grace is not None:
        given["grace"] = _milliseconds("--grace", grace)
    if pkce is not None:
        given["pkce"] = pkce == "required"
    if not given:
        raise click.UsageError(
            "Give what to change, such as --redirect or --grace (see --help)."
        )

    async def work(watchword: Watchword) -> None:
        await watchword.clients.update(client_id, by=operator(), **given)

    with_engine(existing(data), work)
    tell(as_json, f"Changed the client {visible(client_id)}.", clientId=client_id)


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
