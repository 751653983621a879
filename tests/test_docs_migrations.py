"""The migration guides are true: hashes of before sign in, as the pages print it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.pages import ROOT, blocks_of, clean_environment
from watchword.config import Settings
from watchword.config.values import spell_seconds

GUIDES: Final = ["fastapi-users", "flask-jwt-extended", "simplejwt"]


@pytest.mark.parametrize("guide", GUIDES)
def test_the_guide_leads_to_an_app_that_works(guide: str, tmp_path: Path) -> None:
    """The code as printed, with users and tokens as the other library leaves them."""
    story = guide.replace("-", "_")
    run = f"from tests.migration_stories import {story}; {story}()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", run],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=f"{tmp_path}:{ROOT}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", GUIDES)
def test_the_code_of_before_is_python(guide: str) -> None:
    for block in blocks_of(ROOT / f"docs/migrate-from-{guide}.md"):
        if block.kind == "python":
            ast.parse(block.text)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_lives_of_tokens_are_todays(guide: str) -> None:
    text = (ROOT / f"docs/migrate-from-{guide}.md").read_text()
    for name in ("access_ttl", "refresh_idle", "refresh_absolute"):
        default = spell_seconds(getattr(Settings(), name))
        assert re.search(rf"`{name}`[^`\n]*`{default}`", text), name
