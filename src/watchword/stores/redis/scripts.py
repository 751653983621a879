"""The scripts, as files, and what is asked of a server.

Each script is one atomic step and holds no rule: what is written was decided before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

_HERE: Final = files("watchword.stores.redis") / "lua"


class Request(msgspec.Struct, frozen=True):
    """One command, and the slot of its keys.

    `repeatable`: may be sent again when its answer got lost. `durable`: it writes, and
    its answer counts once that is safe. `source` is the script's, which a server may
    have forgotten.
    """

    slot: int
    command: tuple[Any, ...]
    repeatable: bool = False
    durable: bool = False
    source: str = ""

    @property
    def in_full(self) -> tuple[Any, ...]:
        """The same command with the script itself, which the server keeps then."""
        return ("EVAL", self.source, *self.command[2:])


class Script(msgspec.Struct, frozen=True):
    """A script, by its SHA-1: how servers know it."""

    source: str
    digest: str

    def on(
        self,
        slot: int,
        keys: Sequence[bytes],
        values: Sequence[Any],
        *,
        repeatable: bool = False,
        durable: bool = False,
    ) -> Request:
        """To run it on these keys, all of one slot."""
        command = ("EVALSHA", self.digest, len(keys), *keys, *values)
        return Request(slot, command, repeatable, durable, self.source)


@cache
def script(name: str) -> Script:
    """The script of that file."""
    source = (_HERE / f"{name}.lua").read_text("utf-8")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(source, digest)
