"""Where state lives: one folder or module per store, and the table of them.

Stores keep the contract of `ports.py`, do not know each other, and hold no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from watchword.errors import SettingsError
from watchword.stores.sql_files import path_of
from watchword.text import trimmed

if TYPE_CHECKING:
    from watchword.clocks import Entropy
    from watchword.ports import Store
    from watchword.stores.sql_files import Migration

_POSTGRESQL: Final = ("watchword.stores.postgresql", "PostgresqlStore", "postgres")
STORES: Final[dict[str, tuple[str, str, str]]] = {
    "memory": ("watchword.stores.memory", "MemoryStore", ""),
    "postgres": _POSTGRESQL,
    "postgresql": _POSTGRESQL,
    "sqlite": ("watchword.stores.sqlite", "SqliteStore", "sqlite"),
}
"""URL scheme to module, class and extra. A new store for everything is a line here."""

SESSION_STORES: Final[dict[str, tuple[str, str, str]]] = dict.fromkeys(
    ("redis", "rediss", "redis+cluster", "rediss+cluster"),
    ("watchword.stores.redis", "RedisStore", "redis"),
)
"""URL scheme to module, class and extra of stores for sessions only.

Accounts, clients, signing keys and the audit log are kept in a store of `STORES`.
"""


def file_of(url: str) -> Path | None:
    """The file of an embedded store; None where the store is a server.

    For an app that embeds Watchword the server secret is kept in the same folder.
    """
    url = trimmed(url)
    return path_of(url) if url.startswith("sqlite:///") else None


async def open_store(
    url: str,
    entropy: Entropy,
    session_url: str | None = None,
    wait: tuple[int, int] = (1, 0),
) -> Store:
    """The store behind `sqlite:///path/to/file.db` or `postgresql://host/name`.

    With `session_url`, sessions, feed, throttle and used keys are kept there, and
    accounts, clients, signing keys and the audit log behind `url`. A revocation then
    waits for `wait`: the numbers of fsyncs of the master and of replicas.

    When this returns the schema exists and is current. Raises SettingsError for an
    unknown scheme, or one that needs a library that is not installed. Raises
    SchemaError for a schema that is missing, older (where it is not brought up to date
    by itself), newer or altered. Raises StoreUnavailable when the store cannot be
    opened.
    """
    records: Store = await _store_class(STORES, url).open(url, entropy)
    if session_url is None:
        return records
    try:
        opener = _store_class(SESSION_STORES, session_url)
        store: Store = await opener.open(session_url, entropy, records, wait)
    except BaseException:
        await records.close()
        raise
    return store


async def migrate_store(url: str, *, apply: bool) -> Sequence[Migration]:
    """The schema files that are pending behind that URL. With `apply` they are applied.

    Raises SchemaError for a newer or altered schema, SettingsError and
    StoreUnavailable.
    """
    pending: Sequence[Migration] = await _store_class(STORES, url).migrate(
        url, apply=apply
    )
    return pending


def _store_class(table: dict[str, tuple[str, str, str]], url: str) -> Any:  # noqa: ANN401
    scheme = urlsplit(url).scheme
    if scheme not in table:
        known = ", ".join(sorted(table))
        raise SettingsError([f"a store's URL: {scheme!r} is none of {known}"])
    module, name, extra = table[scheme]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        fault = f"{scheme}:// needs {missing.name}: install watchword[{extra}]"
        raise SettingsError([fault]) from None
