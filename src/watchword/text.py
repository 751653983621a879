"""The ends of a value that a person or a program wrote: what cannot be seen there.

A line end from `echo`, a byte order mark from an editor, a blank from copying: none of
them is meant, and none can be seen in a log. Blanks inside of a value are the value's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

_BLANKS: Final = frozenset({"Zs", "Zl", "Zp"})
# Format characters end some words that are meant: U+E007F ends the flag of Scotland.
# These show nothing, and are where editors and web pages put them.
_UNSEEN: Final = frozenset(
    "\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}"
)


def trimmed(text: str) -> str:
    """The text without blanks, control characters and byte order marks at its ends."""
    return _stripped(text, lambda char: _is_blank(char) or _is_control(char))


def without_line_ends(text: str) -> str:
    """The same, but blanks stay: a password is used exactly as it was typed."""
    return _stripped(text, _is_control)


def has_control(text: str) -> bool:
    """Whether a control character stands anywhere in it."""
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
