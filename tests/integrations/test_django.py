"""Django and Django REST framework: the examples as printed, under WSGI and ASGI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT, clean_environment


@pytest.mark.parametrize("program", ["embedded", "own_users", "api", "rest"])
def test_the_examples_do_their_job(program: str, folder: Path) -> None:
    """Each in a process of its own, which ends in order."""
    run = f"from tests.integrations.django_programs import {program}; {program}()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", run],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
