"""`watchword check`: whether `serve` would start, without making anything."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.cli.common import database_of, options, settings_of
from watchword.cli.output import complain, tell
from watchword.errors import SettingsError, WatchwordError

if TYPE_CHECKING:
    from watchword.config import Settings


@click.command()
@options
def check(data: Path | None, as_json: bool) -> None:
    """Check the settings and what they name. Exit code 0 or 1; makes nothing.

    A folder that --data names has to be there. Without --data, one that the first start
    would make is no fault, and is told.
    """
    from watchword.first_start import check_admin
    from watchword.secret_files import check_secret_files
    from watchword.server import file_faults

    found: list[str] = []
    seen: list[str] = []
    new = ""
    try:
        settings = settings_of(data)
        # Checked before the store is opened, because opening makes its file private.
        seen += check_secret_files(settings)
        found += [*file_faults(settings), *_store_faults(settings, data)]
        seen += [*_without_mail(settings), *without_passkeys(settings)]
        file = database_of(settings)
        if file is not None and not file.exists():
            new = f" There is no store at {file} yet: `watchword serve` makes it."
        if not found:
            check_admin(settings)
    except SettingsError as error:
        found += error.faults
    if as_json:
        tell(as_json, "", faults=found, warnings=seen)
    elif found:
        complain(SettingsError(found), as_json=False)
    else:
        for sentence in seen:
            click.echo(f"Warning: {sentence}", err=True)
        click.echo(f"Nothing {'else ' if seen else ''}is wrong.{new}")
    if found:
        sys.exit(1)


def _without_mail(settings: Settings) -> Iterator[str]:
    if settings.registration != "closed" and settings.effective_mail_url is None:
        yield (
            f"WATCHWORD_REGISTRATION is {settings.registration}, but no user "
            "can register: no mail can be sent; give WATCHWORD_MAIL_URL"
        )
    if settings.second_factor != "optional" and settings.effective_mail_url is None:
        yield (
            f"WATCHWORD_SECOND_FACTOR is {settings.second_factor}, but no mail can be "
            "sent: a user without a factor needs `watchword user enrol-code`"
        )


def without_passkeys(settings: Settings) -> Iterator[str]:
    """What has to be installed for passkeys, if they are wanted."""
    from watchword.bootstrap.factors import passkeys_off
    from watchword.factors.webauthn import is_installed

    if not is_installed() and (off := passkeys_off(settings)) is not None:
        yield off


def _store_faults(settings: Settings, named: Path | None) -> Iterator[str]:
    file = database_of(settings)
    if file is not None and not file.exists():
        # A mistyped --data must not look like a good store.
        if named is not None and not named.exists():
            yield f"--data {named}: there is no such folder"
        for folder in {settings.data, file.parent}:
            yield from _unwritable(folder)
        return
    if not settings.secret:  # then the data folder has the secret, or will have it
        yield from _unwritable(settings.data)
    try:
        asyncio.run(_open_store(settings))
    except SettingsError as error:
        yield from error.faults
    except WatchwordError as error:
        yield str(error)


async def _open_store(settings: Settings) -> None:
    """Raise the errors that `serve` would get from the store and its keys.

    Makes nothing.
    """
    import secrets

    from watchword.bootstrap.parts import sealed_tables_of
    from watchword.clocks import system_clock
    from watchword.keys.resealing import check_seals
    from watchword.keys.ring import KeyRing
    from watchword.server_secret import given_secrets, lacking_secret
    from watchword.stores import migrate_store, open_stores

    entropy = secrets.token_bytes
    url, sessions = settings.database_url, settings.session_store_url
    if database_of(settings) is not None and await migrate_store(url, apply=False):
        return  # opening the store would apply the pending migrations
    stores = await open_stores(url, entropy, sessions, settings.session_store_wait)
    try:
        await stores.backend.check()
        revision, _ = await stores.keys.load()
        given = given_secrets(settings)
        if revision and given is None:
            raise lacking_secret(settings)
        ring = KeyRing(
            keys=stores.keys,
            secrets=given or [],
            alg=settings.signing_alg,
            clock=system_clock,
            entropy=entropy,
        )
        await ring.refresh()
        if given is not None:
            await check_seals(sealed_tables_of(stores, given, entropy))
    finally:
        await stores.backend.close()


def _unwritable(folder: Path) -> Iterator[str]:
    """A fault if the folder, which may not exist yet, cannot be written."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"{folder} cannot be written: {there} is no folder of yours"
