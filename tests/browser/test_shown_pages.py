"""The pages that the documentation shows, opened as they are printed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.pages import ROOT, blocks_of
from tests.scenarios.api import PASSWORD
from watchword.core.limits import ACCESS_TTL

README: Final = Path(str(resources.files("watchword.server") / "static/npm/README.md"))
# What a bundler does with the name of a package.
BUNDLED: Final = """<!doctype html>
<script type="importmap">{"imports": {"watchword": "/watchword.js"}}</script>
<script type="module">
%s
document.title = answer.status;
</script>
"""


def test_the_page_of_the_documentation(visitor: Visitor) -> None:
    """It signs in and out, says what is wrong, and shows the same in two tabs."""
    (page,) = [b.text for b in blocks_of(ROOT / "docs/browser.md") if b.kind == "html"]
    visitor.site.line.pages["/"] = page
    tabs = [visitor.context.new_page() for _ in range(2)]
    first, second = tabs
    for tab in tabs:
        tab.goto(f"{visitor.site.origin}/")
    first.bring_to_front()
    for password in ("wrong", PASSWORD):
        first.locator("[name=username]").fill("alice")
        first.locator("[name=password]").fill(password)
        first.get_by_role("button", name="Sign in").click()
        if password == "wrong":
            expect(first.locator("#note")).to_contain_text("wrong")
    expect(first.locator("#note")).to_be_empty()
    for tab in tabs:
        visitor.site.clock.advance(ACCESS_TTL)
        tab.bring_to_front()
        tab.get_by_role("button", name="Who am I?").click()
        expect(tab.locator("#answer")).to_contain_text('"sub"')
    second.get_by_role("button", name="Sign out").click()
    for tab in tabs:
        expect(tab.locator("#login")).to_be_visible()
        expect(tab.locator("#app")).to_be_hidden()
        expect(tab.locator("#answer")).to_be_empty()


def test_the_program_of_the_npm_page(visitor: Visitor) -> None:
    (program,) = [block.text for block in blocks_of(README) if block.kind == "js"]
    here = {"https://login.example.org": visitor.site.origin, '"ann"': '"alice"'}
    for shown, meant in (here | {"four words make a phrase": PASSWORD}).items():
        assert shown in program
        program = program.replace(shown, meant)
    visitor.site.line.pages["/"] = BUNDLED % program
    page = visitor.context.new_page()
    page.goto(f"{visitor.site.origin}/")
    expect(page).to_have_title("200")
