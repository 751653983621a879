"""Passwords that were in a breach: looked up in a file of their hashes.

The file is the one that the downloader of Have I Been Pwned writes: on each line the
SHA-1 of a password in upper-case hex, a colon and a count, in order of the hashes. It
has tens of gigabytes and is read by bisection, a few lines for each password.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_LINE: Final = re.compile(rb"([0-9A-F]{40}):\d{1,18}\r?\Z")
# More bytes than two lines have: a block has the whole line around its middle.
_BLOCK: Final = 256
_SAMPLES: Final = 64


class _Line(NamedTuple):
    start: int
    end: int
    sha1: bytes


class BreachedPasswords:
    """The passwords of a file.

    Raises OSError for a file that cannot be read, ValueError for one that has another
    form or is not sorted. A sample of its lines is looked at.
    """

    def __init__(self, path: Path) -> None:
        # Opened at each call: threads share nothing, and a newer file may replace it.
        self._path = path
        with path.open("rb") as file:
            size = _size_of(file)
            last = b""
            for step in range(_SAMPLES):
                found = _line_at(file, (size - 1) * step // (_SAMPLES - 1))
                if found.sha1 < last:
                    raise ValueError("the lines are not sorted")
                last = found.sha1

    def has(self, password: str) -> bool:
        """Whether the password is in the file. Raises OSError, ValueError."""
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest()
        wanted = digest.upper().encode()
        with self._path.open("rb") as file:
            low, high = 0, _size_of(file)
            while low < high:
                found = _line_at(file, (low + high) // 2)
                if found.sha1 == wanted:
                    return True
                if found.sha1 < wanted:
                    low = found.end
                else:
                    high = found.start
        return False


def _size_of(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    if not size:
        raise ValueError("the file is empty")
    return size


def _line_at(file: BinaryIO, place: int) -> _Line:
    """The line that has the byte at that place. Raises ValueError for another form."""
    begin = max(0, place - _BLOCK // 2)
    file.seek(begin)
    block = file.read(_BLOCK)
    start = block.rfind(b"\n", 0, place - begin) + 1
    end = block.find(b"\n", place - begin)
    end = len(block) if end < 0 else end
    shape = _LINE.match(block[start:end])
    if shape is None:
        raise ValueError("a line is no SHA-1 in upper-case hex with a count")
    return _Line(begin + start, begin + end + 1, shape[1])
