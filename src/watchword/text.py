"""Invisible characters at the ends of a value that a person or a program wrote.

A line end from `echo`, a byte order mark from an editor, a blank from copying: none of
them is meant, and none can be seen in a log. Blanks inside of a value belong to it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

_BLANKS: Final = frozenset({"Zs", "Zl", "Zp"})
# Not all format characters: some end a text on purpose, as U+E007F ends the flag of
# Scotland. These show nothing, and editors and web pages put them at the ends.
_UNSEEN: Final = frozenset(
    "\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}"
)


def trimmed(text: str) -> str:
    """The text without blanks, control characters and byte order marks at its ends."""
    return _stripped(text, lambda char: _is_blank(char) or _is_control(char))


def without_line_ends(text: str) -> str:
    """The text without line ends and byte order marks at its ends.

    Blanks stay, because a password is used exactly as it was typed.
    """
    return _stripped(text, _is_control)


def has_control(text: str) -> bool:
    """Whether the text contains a control character."""
    return any(unicodedata.category(char) == "Cc" for char in text)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" or char in _UNSEEN


def _is_blank(char: str) -> bool:
    return unicodedata.category(char) in _BLANKS


def _stripped(text: str, drops: Callable[[str], bool]) -> str:
    begin, end = 0, len(text)
    while begin < end and drops(text[begin]):
        begin += 1
    while begin < end and drops(text[end - 1]):
        end -= 1
    return text[begin:end]
