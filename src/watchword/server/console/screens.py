"""What every screen of the console has."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One error of a form, in words, and the id of its field, if it is about one."""

    text: str
    field: str = ""


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """A screen. `here` is where the menu says that it is, `title` its heading."""

    template: ClassVar[str]
    here: ClassVar[str]
    title: str
    faults: tuple[Fault, ...] = ()


class ProveFirst(Screen, frozen=True, kw_only=True):
    """In the place of a change: the latest proof is too old for one."""

    template = "prove-first.html"
    here = ""

    title: str = "Confirm it is you"
