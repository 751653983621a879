"""Where state lives: one folder or module a store, and the table of them.

Stores keep the contract of `ports/`, do not know each other, and hold no rule.

memory, sqlite, postgresql   stores for everything
redis                        a store for sessions, beside one for everything else
sql                          what both SQL stores share
health                       whether the store of a process takes writes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from watchword.errors import SettingsError
from watchword.stores.sql.files import path_of
from watchword.text import trimmed

if TYPE_CHECKING:
    from watchword.clocks import Entropy
    from watchword.ports import Stores
    from watchword.stores.sql.files import Migration

Table = Mapping[str, tuple[str, str, str]]

_POSTGRESQL: Final = ("watchword.stores.postgresql", "postgres", r"postgres(ql)?://.+")
STORES: Final = {
    "memory": ("watchword.stores.memory", "", "memory:"),
    "postgres": _POSTGRESQL,
    "postgresql": _POSTGRESQL,
    "sqlite": ("watchword.stores.sqlite", "sqlite", "sqlite:///.+"),
}
"""URL scheme to module, extra and URLs. A new store for everything is a line here.

The module has `open_stores(url, entropy)` and `migrate(url, apply=…)`.
"""

SESSION_STORES: Final = dict.fromkeys(
    ("redis", "rediss", "redis+cluster", "rediss+cluster"),
    ("watchword.stores.redis", "redis", r"rediss?(\+cluster)?://.+"),
)
"""URL scheme to module, extra and URLs of stores for sessions only.

The module has `open_stores(url, entropy, records, wait)`. Accounts, clients, signing
keys and the audit log are kept in `records`, a store of `STORES`.
"""


def url_pattern(table: Table) -> str:
    """The regular expression of the URLs that the stores of that table open."""
    return f"^({'|'.join(dict.fromkeys(url for _, _, url in table.values()))})$"


def file_of(url: str) -> Path | None:
    """The file of an embedded store; None where the store is a server.

    For an app that embeds Watchword the server secret is kept in the same folder.
    """
    url = trimmed(url)
    return path_of(url) if url.startswith("sqlite:///") else None


async def open_stores(
    url: str,
    entropy: Entropy,
    session_url: str | None = None,
    wait: tuple[int, int] = (1, 0),
) -> Stores:
    """The store behind `sqlite:///path/to/file.db` or `postgresql://host/name`.

    With `session_url`, sessions, feed, throttle and used keys are kept there, and
    everything else behind `url`. A revocation then waits for `wait`: the numbers of
    fsyncs of the master and of replicas.

    When this returns the schema exists and is current. Raises SettingsError for an
    unknown scheme, or one that needs a library that is not installed. Raises
    SchemaError for a schema that is missing, older (where it is not brought up to date
    by itself), newer or altered. Raises StoreUnavailable when the store cannot be
    opened.
    """
    records: Stores = await _module(STORES, url).open_stores(url, entropy)
    if session_url is None:
        return records
    try:
        module = _module(SESSION_STORES, session_url)
        stores: Stores = await module.open_stores(session_url, entropy, records, wait)
    except BaseException:
        await records.backend.close()
        raise
    return stores


async def migrate_store(url: str, *, apply: bool) -> Sequence[Migration]:
    """The schema files that are pending behind that URL. With `apply` they are applied.

    Raises SchemaError for a newer or altered schema, SettingsError and
    StoreUnavailable.
    """
    pending: Sequence[Migration] = await _module(STORES, url).migrate(url, apply=apply)
    return pending


def _module(table: Table, url: str) -> Any:  # noqa: ANN401
    scheme = urlsplit(url).scheme
    if scheme not in table:
        known = ", ".join(sorted(table))
        raise SettingsError([f"a store's URL: {scheme!r} is none of {known}"])
    module, extra, _ = table[scheme]
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        fault = f"{scheme}:// needs {missing.name}: install watchword[{extra}]"
        raise SettingsError([fault]) from None
