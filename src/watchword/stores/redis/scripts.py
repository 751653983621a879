"""The Lua scripts, and the requests that a server gets.

Each script is one atomic step and has no rule in it: what it writes was decided before.
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

    With `repeatable` it may be sent again when its answer was lost. With `durable` it
    writes, and its answer is returned only when the write is safe. `source` is the text
    of the script, which a server may have forgotten.
    """

    slot: int
    command: tuple[Any, ...]
    repeatable: bool = False
    durable: bool = False
    source: str = ""

    @property
    def in_full(self) -> tuple[Any, ...]:
        """The command with the text of the script, which the server then keeps."""
        return ("EVAL", self.source, *self.command[2:])


class Script(msgspec.Struct, frozen=True):
    """A script and its SHA-1, by which servers know it."""

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
        """The request to run it on these keys, which are all in one slot."""
        command = ("EVALSHA", self.digest, len(keys), *keys, *values)
        return Request(slot, command, repeatable, durable, self.source)


@cache
def script(name: str) -> Script:
    """The script in that file of the folder `lua`."""
    source = (_HERE / f"{name}.lua").read_text("utf-8")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(source, digest)
