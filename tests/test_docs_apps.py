"""docs/apps.md: every app that is shown can be made known as it is printed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from tests.cli.terminal import Terminal
from tests.pages import ROOT, blocks_of
from tests.test_docs_references import commands_in

PAGE: Final = ROOT / "docs/apps.md"
ISSUER: Final = "https://auth.example"


def test_every_client_of_the_page_can_be_made(tmp_path: Path) -> None:
    data = Terminal(tmp_path / "data")
    data.add("ann")
    made = [words for words, whole in commands_in(PAGE) if whole and "add" in words]
    for words in made:
        client = data.json(*words)
        shown = data.json("clients", "show", client["clientId"])
        assert client["clientSecret"]
        assert shown["scope"] == ["roles"]
        (back,) = shown["redirectUris"]
        assert back.startswith("https://")
    assert len(made) == 6  # an app each


def test_the_proxy_is_given_what_its_client_was_made_with() -> None:
    (text,) = [b.text for b in blocks_of(PAGE) if "oidc_issuer_url" in b.text]
    given = tomllib.loads(text)
    assert given["oidc_issuer_url"] == ISSUER
    (made,) = [
        words for words, whole in commands_in(PAGE) if whole and "proxy" in words
    ]
    assert given["redirect_url"] in made
    assert given["client_id"] in made
