"""The site of the documentation: all pages are in it, and lead somewhere in it too."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from tests.pages import ROOT

CONFIG: Final = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """docs/build.py."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(nav: list[dict[str, Any]]) -> Iterator[str]:
    for entry in nav:
        for below in entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from leaves(below)


def test_every_page_is_in_the_navigation_once(build: ModuleType) -> None:
    shown = list(leaves(CONFIG["nav"]))
    assert sorted(shown) == sorted(str(build.place_of(page)) for page in build.PAGES)


def test_the_navigation_has_four_parts() -> None:
    parts = [name for entry in CONFIG["nav"] for name in entry]
    assert parts == ["Watchword", "Tutorial", "How-to", "Reference", "Concepts"]


def test_every_link_of_the_site_leads_to_what_is_gathered(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SOURCE", tmp_path)
    build.gather()
    for page in build.PAGES:
        text, linked = build.moved(page)
        assert (tmp_path / build.place_of(page)).read_text() == text
        for target in linked:
            there = tmp_path / build.place_of(target)
            assert there.is_file() or (there / "index.md").is_file(), (page, target)


def test_the_site_asks_no_other_host() -> None:
    assert CONFIG["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript", "repo_url"} & set(CONFIG)
