"""The server secret: given by settings or data folder, made for a new store."""

from __future__ import annotations

import secrets
from pathlib import Path

from watchword.config import Settings
from watchword.config.environment import read_text
from watchword.core import limits
from watchword.errors import SettingsError
from watchword.ports.keys import KeyStore
from watchword.secret_files import SECRET_FILE, make_private
from watchword.text import trimmed


async def open_secrets(
    settings: Settings, keys: KeyStore
) -> tuple[list[bytes], Path | None]:
    """The secrets given, or the one kept in the data folder, made there if need be.

    The second value is the file if it was made just now, else None. A secret is made
    only for a store without signing keys. Keys are sealed under a secret: a new secret
    beside them would hide that the right one is missing. Raises SettingsError.
    """
    revision, _ = await keys.load()
    # The keys are read first: a process that makes keys writes its secret before them,
    # so where keys are found the file is there as well.
    found = given_secrets(settings)
    if found is not None:
        return found, None
    if revision:
        raise lacking_secret(settings)
    path = settings.data / SECRET_FILE
    try:
        made = make_private(path, secrets.token_urlsafe(48), secrets.token_hex(4))
    except OSError as error:
        fault = f"WATCHWORD_DATA: cannot write in {settings.data}: {error.strerror}"
        raise SettingsError([fault]) from None
    return given_secrets(settings) or [], path if made else None


def given_secrets(settings: Settings) -> list[bytes] | None:
    """The secrets of the settings or the data folder; None if neither has any.

    Raises SettingsError for a file that is not text in UTF-8 or has too short a line.
    """
    if settings.secret:
        return [one.get_secret_value().encode() for one in settings.secret]
    path = settings.data / SECRET_FILE
    if not path.exists():
        return None
    try:
        found = [trimmed(one).encode() for one in read_text(path).split()]
    except ValueError:
        raise SettingsError([f"{path} is not text in UTF-8"]) from None
    if not found or min(map(len, found)) < limits.SERVER_SECRET_MIN:
        message = f"{path}: every line must have {limits.SERVER_SECRET_MIN} bytes"
        raise SettingsError([message])
    return found


def lacking_secret(settings: Settings) -> SettingsError:
    """The error for a store of which the server secret is missing.

    Nothing in the store works without it, and a new secret would only hide that.
    """
    path = settings.data / SECRET_FILE
    fault = (
        "the server secret of this store is not here: give WATCHWORD_SECRET, as its "
        f"other servers have it, or put back {path}"
    )
    return SettingsError([fault])
