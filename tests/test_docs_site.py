"""The site of the documentation: all pages are in it, and lead somewhere in it too."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from docs import build, made
from tests.pages import ROOT, blocks_of, rows_of
from tests.test_docs import errors_raised

HOME: Final = ROOT / "docs/index.md"
PUBLIC: Final[dict[str, list[str]]] = {
    name: importlib.import_module(name).__all__
    for name in (
        *("watchword", "watchword.client", "watchword.errors", "watchword.testing"),
        *("watchword.verify", "watchword.integrations.fastapi"),
        *(
            f"watchword.integrations.{name}"
            for name in ("flask", "litestar", "starlette")
        ),
        "watchword.integrations.django",
    )
}
CONFIG: Final = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]


def leaves(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for below in entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from leaves(below)


def test_every_page_is_in_the_navigation_once() -> None:
    shown = list(leaves(CONFIG["nav"]))
    assert sorted(shown) == sorted(str(build.place_of(page)) for page in build.PAGES)


def test_the_navigation_has_four_parts() -> None:
    parts = [name for entry in CONFIG["nav"] for name in entry]
    assert parts == ["Watchword", "Tutorial", "How-to", "Reference", "Concepts"]


def test_every_link_of_the_site_leads_to_what_is_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SOURCE", tmp_path)
    build.gather()
    for name in (CONFIG["theme"]["logo"], *CONFIG["extra_css"]):
        assert (tmp_path / name).is_file()
    for page in build.PAGES:
        text, linked = build.moved(page)
        assert (tmp_path / build.place_of(page)).read_text() == text
        for target in linked:
            there = tmp_path / build.place_of(target)
            assert there.is_file() or (there / "index.md").is_file(), (page, target)


def test_the_site_asks_no_other_host() -> None:
    assert CONFIG["theme"]["font"] is False
    assert not {"extra_javascript", "repo_url"} & set(CONFIG)
    style = (ROOT / "docs" / CONFIG["extra_css"][0]).read_text()
    assert len(CONFIG["extra_css"]) == 1
    assert not re.search(r"url\(|@import", style)


# What is made from the code


def test_what_is_made_from_the_code_is_of_the_code_as_it_is() -> None:
    """`make docs` writes them. Where this fails, run it."""
    for path, text in made.pages().items():
        assert path.read_text() == text, path.name


def test_every_module_of_the_import_contract_is_drawn() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = [
        one["layers"]
        for one in config["tool"]["importlinter"]["contracts"]
        if one["id"] == "layers"
    ]
    drawing, *_ = blocks_of(ROOT / "docs/architecture.md")
    boxes = re.split(r"^[├┌└].*\n?", drawing.text, flags=re.MULTILINE)
    drawn = [re.findall(r"^│ (\w+)", box, re.MULTILINE) for box in boxes if box.strip()]
    assert drawn == [layer.split(" | ") for layer in layers]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_in_the_reference_with_its_docstring(name: str) -> None:
    heading = made.REFERENCE[name]
    text = (ROOT / "docs/api.md").read_text()
    (part,) = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    parts = re.split(r"^### (\w+)\n", part, flags=re.MULTILINE)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    wanted = [one for one in PUBLIC[name] if not one.startswith("_")]
    assert list(shown) == wanted
    for what, said in shown.items():
        described = re.sub(r"```.*?```", "", said, flags=re.DOTALL)
        assert described.strip(), what


# The pages


def test_the_home_page_begins_with_the_program_of_the_frameworks_page() -> None:
    (program,) = [b.text for b in blocks_of(HOME) if b.kind == "python"]
    assert program == (ROOT / "examples/fastapi_embedded.py").read_text()


def test_troubleshooting_has_every_code_once() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    sections = re.findall(
        r"^### `(\w+)`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL
    )
    assert sorted(code for code, _ in sections) == sorted(
        {kind.code for kind in errors_raised()}
    )
    assert [code for code, said in sections if len(said.split()) < 8] == []


def test_every_cell_of_the_comparison_says_where_it_can_be_checked() -> None:
    page = ROOT / "docs/comparison.md"
    sources = dict(
        re.findall(r"^\[([\w-]+)\]: (https://\S+)$", page.read_text(), re.MULTILINE)
    )
    for question, ours, *others in rows_of(page, "| | Watchword"):
        assert re.search(r"\]\((?!https?:)[^)]+\)", ours), question
        for cell in others:
            cited = re.findall(r"\]\[([\w-]+)\]", cell)
            assert cited or cell == "–", (question, cell)
            assert set(cited) <= set(sources), (question, cell)
    used = set(re.findall(r"\]\[([\w-]+)\]", page.read_text()))
    assert used == set(sources)
    listed = re.findall(r"^\* <(\S+)>$", page.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(sources.values())


def test_the_readme_is_short() -> None:
    """What is longer has a page of its own, linked from there."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 400
