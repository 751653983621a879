"""Programs of the machine that some tests need, and that no wheel brings.

A test that needs one is marked: `@pytest.mark.needs("haproxy")`, or a whole file by
`pytestmark`, or one row by `pytest.param(…, marks=pytest.mark.needs("java"))`. Where
the program is absent, `tests/conftest.py` leaves the test out of the collection, and
the summary names it: it counts neither as passed nor as skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import Final

# How each program tells its version: that it stands on PATH proves nothing, for macOS
# has a /usr/bin/java that only says where to get one.
_VERSION: Final = {"go": "version", "haproxy": "-v", "java": "-version"}
# Where packages put them, though not every user's PATH leads there.
_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/local/go/bin")


@cache
def find(name: str) -> str | None:
    """The path of that program; None where it is absent or does not run."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])
    )
    if found is None:
        return None
    command = [found, _VERSION.get(name, "--version")]
    done = subprocess.run(command, capture_output=True, check=False)
    return None if done.returncode else found


def tool(name: str) -> str:
    """The path of that program, for a test that is marked as needing it."""
    found = find(name)
    assert found is not None, f"mark the test: pytest.mark.needs({name!r})"
    return found
