"""What every screen of the console has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

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


LANGUAGES: Final = [("en", "English"), ("de", "Deutsch")]
"""Of mails and pages, for the fields that choose one."""


class ProveFirst(Screen, frozen=True, kw_only=True):
    """In the place of a change: the latest proof is too old for one."""

    template = "prove-first.html"
    here = ""

    title: str = "Confirm it is you"


class Secret(Screen, frozen=True, kw_only=True):
    """What is shown once: a new secret, in the answer to the form that made it.

    Nothing else keeps it, so there is no redirect.

    `values` are pairs of a label and what to copy; the secret is the first. `onward` is
    the screen that it leads to, with the query of its address.
    """

    template = "secret.html"

    text: str
    values: tuple[tuple[str, str], ...]
    onward: str
    query: Mapping[str, str]
