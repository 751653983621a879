"""Asserts are rewritten once for all workers of pytest-xdist.

Each worker imports every test. Where none has been rewritten yet, as in a fresh clone,
each would do the same work at the same time: 5 seconds of the processor a worker.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def rewrite_all(config: pytest.Config) -> None:
    """By two processes, into the files where the workers look for them."""
    folder = config.rootpath / "tests"
    files = [
        file
        for pattern in ("test_*.py", "conftest.py")
        for file in folder.rglob(pattern)
        if "node_modules" not in file.parts
    ]
    child = os.fork()
    for file in files[child > 0 :: 2]:
        _rewrite(file, config)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _rewrite(file: Path, config: pytest.Config) -> None:
    """As the loader of pytest does it, but without running what comes of it."""
    folder = rewrite.get_cache_dir(file)
    made = folder / f"{file.stem}{rewrite.PYC_TAIL}"
    if sys.dont_write_bytecode or rewrite._read_pyc(file, made) is not None:
        return
    if rewrite.try_makedirs(folder):
        state = config.stash[rewrite.assertstate_key]
        digest, code = rewrite._rewrite_test(file, config)
        rewrite._write_pyc(state, code, digest, made)
