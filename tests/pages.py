"""The pages of the documentation, and how the tests of them read Markdown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from watchword.config import ENV_PREFIX

ROOT: Final = Path(__file__).resolve().parents[1]
COMMAND: Final = Path(sys.executable).with_name("watchword")
_MARK: Final = "=== next step ==="
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]


class Block(NamedTuple):
    kind: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks; those inside a list without their indentation."""
    found = re.findall(
        r"^( *)```(\w*)\n(.*?)^\1```$", page.read_text(), re.DOTALL | re.MULTILINE
    )
    return [
        Block(kind, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, kind, text in found
    ]


def files_of(page: Path) -> dict[str, str]:
    """The programs of a page that say in their first line which file they are."""
    shown = [(block.text, block.text.partition("\n")[0]) for block in blocks_of(page)]
    return {
        first.removeprefix("# "): text
        for text, first in shown
        if re.fullmatch(r"# [\w/]+\.py", first)
    }


def without_blocks(page: Path) -> str:
    return re.sub(
        r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE
    )


def anchors_of(page: Path) -> set[str]:
    """The anchors that a heading has on the usual forges."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        for text in headings
    }


def rows_of(page: Path, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins with `head`."""
    (table,) = tables_of(page, head)
    return table


def tables_of(page: Path, head: str) -> list[list[list[str]]]:
    """The cells of all tables whose first line begins with `head`."""
    lines = page.read_text().splitlines()
    return [
        _rows(lines[place + 2 :])
        for place, line in enumerate(lines)
        if line.startswith(head)
    ]


def _rows(lines: list[str]) -> list[list[str]]:
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def script_of(commands: Iterable[str]) -> str:
    """The commands of several blocks as one shell would be given them."""
    return f"\nprintf '\\n{_MARK}\\n'\n".join(commands)


def printed_by(script: str, folder: Path | None = None) -> list[str]:
    """What the commands of each block print, run in that folder until one fails."""
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=clean_environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r\n", "\n").split(f"\n{_MARK}\n")


def clean_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENV_PREFIX)}
    return kept | more
