"""What a package index shows of the project: its README, addresses and classifiers."""

from __future__ import annotations

import email
import re
import tomllib
import zipfile
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from trove_classifiers import classifiers

from tests.composition import build_wheel
from tests.pages import ROOT, anchors_of, without_blocks
from watchword import __version__

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
    "project"
]
SOURCE: Final[str] = PROJECT["urls"]["Source"]
FILES: Final = f"{SOURCE}/blob/main/"


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Message:
    """Those of the wheel that an index would be given."""
    wheel = zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel")))
    (name,) = [one for one in wheel.namelist() if one.endswith("/METADATA")]
    return email.message_from_string(wheel.read(name).decode())


def test_every_link_of_the_readme_leads_somewhere_from_an_index_too(
    metadata: Message, tmp_path: Path
) -> None:
    """An index has neither our files nor anchors of its own for our headings."""
    assert metadata["version"] == __version__
    assert metadata["description-content-type"] == "text/markdown"
    shown = tmp_path / "README.md"
    shown.write_text(str(metadata.get_payload()))
    links = re.findall(r"\]\(([^)]+)\)", without_blocks(shown))
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://"), link
        if link.startswith(FILES):
            path, _, anchor = link.removeprefix(FILES).partition("#")
            assert (ROOT / path).exists(), link
            assert not anchor or anchor in anchors_of(ROOT / path), link


def test_all_addresses_of_the_project_are_of_one_repository() -> None:
    assert {"Homepage", "Source", "Documentation", "Changelog", "Issues"} <= set(
        PROJECT["urls"]
    )
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r"https://[^\s\"']+", text)
    assert [url for url in named if not url.startswith(SOURCE)] == []
    files = [url.removeprefix(FILES) for url in named if url.startswith(FILES)]
    assert [path for path in files if path and not (ROOT / path).exists()] == []


def test_the_classifiers_are_of_the_list() -> None:
    assert [one for one in PROJECT["classifiers"] if one not in classifiers] == []


def requirements_of(extra: str) -> list[Requirement]:
    """Those of an extra, and of the extras that it names."""
    found = []
    for text in PROJECT["optional-dependencies"][extra]:
        one = Requirement(text)
        found += [one] if one.name != "watchword" else []
        for other in one.extras if one.name == "watchword" else ():
            found += requirements_of(other)
    return found


def test_the_extra_for_tests_brings_no_plugin_into_a_users_pytest() -> None:
    """Each would change how all tests of that project run, or warn in it."""
    plugins = [
        one.name
        for one in requirements_of("testing")
        if distribution(one.name).entry_points.select(group="pytest11")
    ]
    assert plugins == []
