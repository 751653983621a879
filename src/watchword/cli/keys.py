"""`watchword keys`: keys that sign tokens, and the secrets that seal them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.common import existing, operator, options, with_engine
from watchword.cli.output import table, tell, utc, visible
from watchword.core import limits
from watchword.ports.keys import ID_TOKEN_USES, KeyUse

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword

_PAGE = 500


@click.group()
def keys() -> None:
    """Signing keys: list, rotate, retire; and the server secret: secrets.

    \b
    To change the server secret without logging any user out:
    1. Add the new one behind the old one in WATCHWORD_SECRET, and restart
       every process: all verify with both.
    2. Put it in front, and restart every process: from now on it mints.
    3. Wait until `watchword keys secrets` says that the old one may go:
       one idle lifetime. Remove it, and restart every process.

    `watchword keys secrets` shows on each machine in which order it has them. Secrets
    that --data keeps are the lines of its file `secret`.
    """  # noqa: D301 - click's mark for lines to keep


@keys.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show the keys: next is published, active signs, retired still verifies.

    Access tokens and ID tokens of each algorithm have keys of their own.
    """

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        return [
            {
                "kid": row.kid,
                "use": row.use,
                "alg": row.alg,
                "state": row.state,
                "since": utc(row.changed_at),
            }
            for row in watchword.keys.rows
        ]

    table(as_json, with_engine(existing(data), work), "There are no keys.")


@keys.command()
@click.option(
    "--id-tokens",
    type=click.Choice(list(ID_TOKEN_USES)),
    help="The key of ID tokens by this algorithm, not that of access tokens.",
)
@options
def rotate(id_tokens: str | None, data: Path | None, as_json: bool) -> None:
    """Sign with the next key from now on; tokens of the old one stay good."""
    use = KeyUse.ACCESS_TOKEN if id_tokens is None else ID_TOKEN_USES[id_tokens]
    kid = with_engine(existing(data), lambda w: w.keys.rotate(use, by=operator()))
    tell(as_json, f"{kid} signs from now on.", active=kid)


# One key id in 64 begins with a dash. This command has no short options, so such an id
# is not taken for one.
@keys.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.argument("kid")
@options
def retire(kid: str, data: Path | None, as_json: bool) -> None:
    """Drop a key at once, for an emergency: its tokens are refused."""
    with_engine(existing(data), lambda w: w.keys.retire(kid, by=operator()))
    tell(as_json, f"{visible(kid)} is gone; clients refresh their tokens.", retired=kid)


@keys.command()
@options
def secrets(data: Path | None, as_json: bool) -> None:
    """Show what each server secret does, by fingerprint, and when it may go.

    The same secret has the same fingerprint on every machine.
    """

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        stores = watchword.stores
        mails = _by_fingerprint(await stores.outbox.sealed_under())
        factors = _by_fingerprint(await stores.credentials.sealed_under())

        def under(name: str, keys: int = 0) -> tuple[int, int, int]:
            return keys, mails[name], factors[name]

        (first, sealed), *others = watchword.keys.secrets
        rows = [_row(first, "mints and verifies", under(first, sealed))]
        since = await _sealed_again(watchword, first) if others else None
        for name, count in others:
            may_go, note = None, "unknown: no start has sealed the keys under the first"
            if any(under(name, count)):
                note = "not before a server with this order has sealed them again"
            elif since is not None:
                may_go = since + watchword.settings.refresh_idle * limits.SECOND
                note = "if every process had this order one idle lifetime before"
            rows.append(_row(name, "verifies", under(name, count), may_go, note))
        here = {name for name, _ in watchword.keys.secrets}
        for name in sorted((mails.keys() | factors.keys()) - here):
            note = "put it back: no server starts without it"
            rows.append(_row(name, "is missing", under(name), note=note))
        return rows

    table(as_json, with_engine(existing(data), work), "There are no secrets.")


def _by_fingerprint(sealed_under: Mapping[bytes, int]) -> Counter[str]:
    return Counter({name[:4].hex(): count for name, count in sealed_under.items()})


def _row(
    name: str,
    does: str,
    sealed: tuple[int, int, int],
    may_go: int | None = None,
    note: str = "",
) -> dict[str, Any]:
    keys, mails, credentials = sealed
    return {
        "fingerprint": name,
        "does": does,
        "keysSealed": keys,
        "mailsSealed": mails,
        "credentialsSealed": credentials,
        "mayGoFrom": None if may_go is None else utc(may_go),
        "note": note,
    }


async def _sealed_again(watchword: Watchword, fingerprint: str) -> int | None:
    """The instant at which the keys were last sealed again, if under this secret."""
    from watchword.keys.ring import KeyChange

    newest = await watchword.stores.audit.last()
    while newest > 0:
        page = await watchword.stores.audit.read(max(0, newest - _PAGE), _PAGE)
        for _, event in reversed(page):
            if event.detail.get("change") == KeyChange.RESEALED:
                under = event.detail.get("secret")
                return event.at if under == fingerprint else None
        newest -= _PAGE
    return None
