"""What a first start makes: folder, server secret, schema, keys, first account."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from watchword.accounts.names import normalise_name, password_names
from watchword.bootstrap import Watchword, open_watchword
from watchword.bootstrap.parts import breached_of
from watchword.config import Settings
from watchword.core.actor import SYSTEM
from watchword.errors import (
    InvalidCredentials,
    InvalidRequest,
    NameTaken,
    PasswordRejected,
    SettingsError,
)
from watchword.keys.resealing import check_seals
from watchword.passwords import check_new_password
from watchword.secret_files import (
    ADMIN_PASSWORD_FILE,
    check_secret_files,
    make_private,
)
from watchword.stores import file_of

_log = logging.getLogger("watchword")


class Prepared(msgspec.Struct, frozen=True):
    """What `prepare` made, or would have: the command that called it tells the user."""

    admin: str
    made_secret: Path | None
    admin_password: str | None
    # Whether the store had no account before: the first one is new.
    is_first: bool = False


async def prepare(settings: Settings) -> Prepared:
    """Make what a first start needs: folder, secret, schema, keys, the first account.

    Only the parent process calls it. Several servers may do so at the same time. Raises
    SettingsError, KeyRingError, StoreUnavailable.
    """
    name = check_admin(settings)
    for exposed in check_secret_files(settings):
        _log.warning("%s", exposed)
    async with open_watchword(settings, background=False) as watchword:
        await check_seals(watchword.sealed_tables)
        password = None
        is_first = await watchword.accounts.is_empty()
        if is_first:
            password = await _make_admin(settings, name, watchword)
        return Prepared(name, watchword.made_secret, password, is_first)


def check_admin(settings: Settings) -> str:
    """The name of the first account. Raises SettingsError for it or its password."""
    try:
        name = normalise_name(settings.admin)
    except InvalidRequest as error:
        raise SettingsError([f"WATCHWORD_ADMIN cannot be used: {error}"]) from None
    file = file_of(settings.database_url)
    if settings.admin_password is not None and file is not None and not file.exists():
        # It becomes the administrator's password, so a bad one is refused before
        # anything is made.
        with _of_admin_password():
            given = settings.admin_password.get_secret_value()
            breached = breached_of(settings)
            check_new_password(given, names=password_names(name), breached=breached)
    return name


async def _make_admin(
    settings: Settings, name: str, watchword: Watchword
) -> str | None:
    """Register the first account. Returns its password if that was drawn here.

    Returns None where the password was given, or where another process has registered
    the account first. Raises SettingsError for a password that cannot be used.
    """
    given = settings.admin_password
    drawn = _kept_password(settings.data) if given is None else None
    chosen = drawn if given is None else given.get_secret_value()
    try:
        with _of_admin_password():
            await watchword.accounts.register(
                name, chosen or "", roles=[settings.admin_role], by=SYSTEM
            )
    except NameTaken:  # another process that started with us was first
        if drawn is not None:
            admin = await watchword.accounts.get(name)
            # A process with the same data folder has drawn the same password. With
            # another folder the password in ours is not that of the account.
            try:
                await watchword.hasher.verify(admin.password_hash, drawn, address="")
            except InvalidCredentials:
                (settings.data / ADMIN_PASSWORD_FILE).unlink(missing_ok=True)
        return None
    return drawn


@contextlib.contextmanager
def _of_admin_password() -> Iterator[None]:
    try:
        yield
    except PasswordRejected as error:
        fault = f"WATCHWORD_ADMIN_PASSWORD cannot be used: {error}"
        raise SettingsError([fault]) from None


def _kept_password(folder: Path) -> str:
    """The first account's password, kept in a file of that folder.

    The file is written before the account is made, so that a crash cannot lose the
    password. Of several processes that start at once, all read what the first one
    wrote.
    """
    path = folder / ADMIN_PASSWORD_FILE
    make_private(path, secrets.token_urlsafe(18), secrets.token_hex(4))
    return path.read_text("ascii").strip()
