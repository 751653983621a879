"""Where state lives: one folder or module per store, and the table of them.

Stores keep the contract of `ports.py`, do not know each other, and hold no rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from watchword.errors import SettingsError

if TYPE_CHECKING:
    from watchword.ports import Entropy, Store

Opener = Callable[[str, "Entropy"], Awaitable["Store"]]

STORES: Final[dict[str, tuple[str, str]]] = {
    "memory": ("watchword.stores.memory", "MemoryStore"),
    "sqlite": ("watchword.stores.sqlite", "SqliteStore"),
}
"""URL scheme to module and class: a third store joins with one more line."""


async def open_store(url: str, entropy: Entropy) -> Store:
    """The store behind a URL: `sqlite:///path/to/file.db` or, for tests, `memory:`.

    Its schema is there and current when this returns. Raises SettingsError for a scheme
    that is not known or whose library is not installed, SchemaError for a schema that
    is newer or altered, StoreUnavailable when it cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        known = ", ".join(sorted(STORES))
        raise SettingsError([f"WATCHWORD_DATABASE_URL: {scheme!r} is none of {known}"])
    module, name = STORES[scheme]
    try:
        opener: Opener = getattr(import_module(module), name).open
    except ModuleNotFoundError as missing:
        raise SettingsError(
            [f"the {scheme} store needs {missing.name}: install watchword[{scheme}]"]
        ) from None
    return await opener(url, entropy)
