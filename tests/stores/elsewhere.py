"""A store as a repository of its own has it: here SQLite, by another URL."""

from __future__ import annotations

from watchword.clocks import Entropy
from watchword.ports import Stores
from watchword.stores import sqlite


async def open_stores(url: str, entropy: Entropy) -> Stores:
    """The store in that file."""
    return await sqlite.open_stores(url.replace("elsewhere", "sqlite"), entropy)
