"""SQL files beside the store that uses them: statements by name, numbered migrations.

A schema only moves forward, in numbered files. Their checksums are kept in the
database. A schema that is newer than this program, or has an altered file, is not
touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec

from watchword.errors import SchemaError

_HERE: Final = files("watchword.stores")


def path_of(url: str) -> Path:
    """The file of `sqlite:///relative/or/absolute.db` (four slashes: absolute).

    Everything after the third slash is the percent-decoded name: `#` is a part of it.
    """
    return Path(unquote(url.removeprefix("sqlite:///")))


@cache
def load_statements(store: str) -> dict[str, str]:
    """The statements of that store's `statements.sql`, by name."""
    text = (_HERE / store / "statements.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Migration(msgspec.Struct, frozen=True):
    """One numbered schema file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(store: str) -> list[Migration]:
    """The schema files that this program has for that store, in order."""
    folder = _HERE / store / "schema"
    found = [entry for entry in folder.iterdir() if entry.name[0].isdigit()]
    return [
        Migration(int(entry.name[:4]), entry.name, entry.read_text("utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]


def pending(store: str, applied: Mapping[int, str]) -> list[Migration]:
    """The migrations that are still to be applied.

    `applied` has the checksums of the applied ones, by number. Raises SchemaError for a
    newer or altered schema.
    """
    known = {migration.number: migration for migration in migrations(store)}
    if newer := set(applied) - set(known):
        message = (
            f"the database has schema {max(newer):04}, which this version of "
            f"watchword does not know (it knows {max(known):04}): update watchword"
        )
        raise SchemaError(message)
    for number, checksum in applied.items():
        if known[number].checksum != checksum:
            message = f"schema {known[number].name} was altered after it was applied"
            raise SchemaError(message)
    return [known[number] for number in sorted(set(known) - set(applied))]
