"""The wheel with each extra alone: what is missing is named, by what to install.

Modules that an extra does not bring are hidden, rather than installed anew for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from email import message_from_bytes
from functools import cache
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.composition import build_wheel

# Without `store-contract`: Hypothesis loads what Trio has announced to it, and Trio's
# announcement stays where only its modules are hidden.
EXTRAS = [
    *("", "sqlite", "accounts", "server", "testing", "postgres", "redis", "verify"),
    *("client", "starlette", "fastapi", "litestar", "django", "flask", "mcp"),
]
# What a program imports, and the extra that it is told of.
PUBLIC = {
    "watchword": "",
    "watchword:WatchwordError": "",
    "watchword.errors": "",
    "watchword.verify": "",
    "watchword.webhooks": "",
    "watchword.testing": "",
    "watchword.testing.plugin": "testing",
    "watchword.testing.store_contract": "store-contract",
    "watchword:Verifier": "verify",
    "watchword.verify:Verifier": "verify",
    "watchword.verify:SyncVerifier": "verify",
    "watchword.client": "client",
    "watchword.passwords": "accounts",
    "watchword:Settings": "server",
    "watchword:load_settings": "server",
    "watchword:open_watchword": "server",
    "watchword:Watchword": "server",
    "watchword.config": "server",
    "watchword.server": "server",
    "watchword.integrations.starlette": "starlette",
    "watchword.integrations.fastapi": "fastapi",
    "watchword.integrations.litestar": "litestar",
    "watchword.integrations.django": "django",
    "watchword.integrations.flask": "flask",
    "watchword.integrations.mcp": "mcp",
}
COMMANDS = (
    "--help",
    "--version",
    "serve --workers 0",
    "user list",
    "check",
    "login",
    "logout",
)

PROGRAM = """
import contextlib, importlib, io, json, sys
here, hidden, public, commands = json.loads(sys.stdin.read())
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
sys.path.insert(0, here)
told = {}
for name in public:
    module, _, inside = name.partition(":")
    try:
        found = importlib.import_module(module)
        inside and getattr(found, inside)
        told[name] = None
    except ImportError as error:
        told[name] = str(error)
import watchword.__main__ as program
assert program.__file__.startswith(here)
for line in commands:
    said = io.StringIO()
    sys.argv = ["watchword", *line.split()]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            program.main()
            code = 0
        except SystemExit as end:
            code = end.code
    told["$ " + line] = [code, said.getvalue()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as archive:
        archive.extractall(folder)
    return folder


@cache
def requirements(package: Path) -> tuple[Requirement, ...]:
    (metadata,) = package.glob("*.dist-info/METADATA")
    lines = message_from_bytes(metadata.read_bytes()).get_all("Requires-Dist") or []
    return tuple(map(Requirement, lines))


@cache
def installed(package: Path, extra: str) -> frozenset[str]:
    """The names of all distributions that an install with that extra brings."""
    found: set[str] = set()
    requested: list[tuple[str, str]] = [("watchword", extra), ("watchword", "")]
    seen: set[tuple[str, str]] = set()
    while requested:
        name, of = requested.pop()
        if (name, of) in seen:
            continue
        seen.add((name, of))
        found.add(name)
        for one in requirements(package) if name == "watchword" else needs(name):
            if one.marker is None or one.marker.evaluate({"extra": of}):
                needed = canonicalize_name(one.name)
                requested += [(needed, ""), *((needed, inner) for inner in one.extras)]
    return frozenset(found)


@cache
def needs(name: str) -> tuple[Requirement, ...]:
    try:
        return tuple(map(Requirement, distribution(name).requires or []))
    except PackageNotFoundError:  # not for this platform
        return ()


modules_and_names = cache(packages_distributions)


def hidden(package: Path, extra: str) -> list[str]:
    """The modules that would be missing there."""
    here = installed(package, extra)
    return [
        module
        for module, names in modules_and_names().items()
        if module != "watchword" and here.isdisjoint(map(canonicalize_name, names))
    ]


@pytest.fixture(scope="module", params=EXTRAS)
def told(request: pytest.FixtureRequest, package: Path, tmp_path_factory: Any) -> Any:
    """The extra, and what became of each import and command with it alone."""
    sent = [str(package), hidden(package, request.param), list(PUBLIC), COMMANDS]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("nothing"),
        env={"XDG_CONFIG_HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout)


def test_an_import_names_the_extra_that_it_needs(told: Any, package: Path) -> None:
    extra, found = told
    here = installed(package, extra)
    for name, needed in PUBLIC.items():
        if installed(package, needed) <= here:
            assert found[name] is None, (name, found[name])
        elif found[name] is not None:  # some need less than all of it
            plain = found[name] == "No module named 'pytest'"
            assert plain or f"install watchword[{needed}]" in found[name], name


def test_a_command_names_the_extra_that_it_needs(told: Any, package: Path) -> None:
    extra, found = told
    here = installed(package, extra)
    for line in COMMANDS:
        code, said = found[f"$ {line}"]
        needed = "client" if line in {"login", "logout"} else "server"
        assert "Traceback" not in said, (line, said)
        if installed(package, needed) <= here:
            assert "is not installed" not in said, (line, said)
        elif line.startswith("--") and "click" in here:
            assert code == 0
        else:
            assert code == 2, (line, said)
            assert f"install 'watchword[{needed}]'" in said
            assert len(said.splitlines()) == 1


def test_a_server_brings_the_commands_of_a_client(package: Path) -> None:
    assert installed(package, "client") <= installed(package, "server")


def test_a_client_alone_shows_the_code_that_a_phone_scans(package: Path) -> None:
    """`watchword login` draws it where a first factor has to be enrolled."""
    assert "segno" in installed(package, "client")
