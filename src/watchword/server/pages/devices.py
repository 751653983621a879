"""What the `User-Agent` of a session says of its browser and system, in a word each.

A session keeps the beginning of it alone (`core/limits.py`), so some browsers are
called by the name of the one that they are made of. The names are trade marks, the same
in every language.
"""

from __future__ import annotations

import re
from typing import Final

_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("AppleWebKit/", "Safari"),
)
"""What the header has, and the browser that it means: the first one that is in it."""

_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)
_PROGRAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}", re.ASCII)


def browser_of(user_agent: str) -> str:
    """The browser, or the name of another program; "" where there is none."""
    for part, name in _BROWSERS:
        if part in user_agent:
            return name
    program = _PROGRAM.match(user_agent)
    return program[0] if program and program[0] != "Mozilla" else ""


def system_of(user_agent: str) -> str:
    """The operating system, or ""."""
    return next((name for part, name in _SYSTEMS if part in user_agent), "")
