"""Gathers what the site is made of in `site-source/`: the pages, and what they link to.

In the repository the pages link to files beside docs/, which a site of docs/ alone has
not. Pages of docs/ become the site's top; everything else goes below `project/`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
SOURCE: Final = ROOT / "site-source"
PAGES: Final = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md")])
STYLE: Final = DOCS / "site.css"
MARK: Final = ROOT / "src/watchword/server/static/watchword.svg"
# Fenced blocks are found first, so that what looks like a link in there stays.
_LINK: Final = re.compile(
    r"^( *)```.*?^\1```$|\]\(([^)#:]+)(#[^)]*)?\)", re.DOTALL | re.MULTILINE
)


def place_of(file: Path) -> Path:
    """Where the site has a file of the repository, relative to its top."""
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS)
    return "project" / file.relative_to(ROOT)


def moved(page: Path) -> tuple[str, set[Path]]:
    """The text of a page with the links of its new place, and what it links to."""
    linked: set[Path] = set()
    folder = place_of(page).parent

    def link(found: re.Match[str]) -> str:
        if found[2] is None:
            return found[0]
        target = (page.parent / found[2]).resolve()
        linked.add(target)
        return f"]({os.path.relpath(place_of(target), folder)}{found[3] or ''})"

    return _LINK.sub(link, page.read_text()), linked


def gather() -> None:
    """Make the folder anew."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    linked = {STYLE}
    _write(Path(MARK.name), MARK.read_text())
    for page in PAGES:
        text, targets = moved(page)
        linked |= targets
        _write(place_of(page), text)
    for target in linked.difference(PAGES):
        files = [target] if target.is_file() else sorted(target.glob("*"))
        for file in filter(Path.is_file, files):
            if file.suffix != ".md":
                _write(place_of(file), file.read_text())
        if target.is_dir():
            names = "".join(f"* [{file.name}]({file.name})\n" for file in files)
            _write(place_of(target) / "index.md", f"# {target.name}\n\n{names}")


def _write(place: Path, text: str) -> None:
    path = SOURCE / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    gather()
