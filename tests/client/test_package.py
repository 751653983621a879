"""What the package is made of, and what it needs."""

from __future__ import annotations

import subprocess
import sys

import watchword.client

# Of the server, of stores, and what only those need who ask for it.
NOT_NEEDED = (
    *("requests", "starlette", "uvicorn", "click", "apsw", "argon2", "pydantic"),
    *("watchword.core", "watchword.server", "watchword.verify", "watchword.bootstrap"),
)


def test_it_can_be_installed_alone() -> None:
    program = (
        "import sys, watchword.client as client;"
        "print(*sys.modules);"
        "client.RequestsAuth;"
        "assert 'requests' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()).isdisjoint(NOT_NEEDED)


def test_the_public_names_are_there() -> None:
    for name in watchword.client.__all__:
        assert getattr(watchword.client, name).__name__ == name
