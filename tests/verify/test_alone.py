"""The verifier is installed alone: what it needs is the base and an HTTP client."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.pages import ROOT

# Refuses whatever is neither Python's own, nor ours, nor needed by what is declared.
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

ALLOWED = set(sys.argv[1].split(",")) | set(sys.stdlib_module_names)

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"{name} is not installed")
        return None

sys.meta_path.insert(0, Refuse())
import asyncio
from watchword import Verifier, WatchwordError
from watchword.verify import Checker, Claims, SyncVerifier

async def main():
    async with Verifier("http://127.0.0.1:9", feed=("a", "b")) as verifier:
        try:
            await verifier.verify("a.b.c")
        except WatchwordError as error:
            print(error.code)

asyncio.run(main())
with SyncVerifier("http://127.0.0.1:9") as verifier:
    print(verifier.health().ready)
print(*(name for name in sys.modules if name.startswith("watchword.")))
"""
# What those bring along.
HTTPX2 = (
    *("httpx2", "httpcore2", "anyio", "sniffio", "h11", "certifi", "idna", "ssl"),
    *("truststore", "typing_extensions"),
)
BELOW = {"clocks", "core", "errors", "extras", "reasons", "text"}
CRYPTOGRAPHY = ("cryptography", "cffi", "_cffi_backend")


def test_it_imports_nothing_of_the_server(tmp_path: Path) -> None:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["verify"]]
    base = {one.partition(">")[0] for one in named}
    assert base == {"cryptography", "joserfc", "msgspec", "httpx2"}
    allowed = {*base, *HTTPX2, *CRYPTOGRAPHY, "watchword"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, ",".join(allowed)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, ready, modules = done.stdout.splitlines()
    assert (code, ready) == ("token_invalid", "False")
    ours = {name.split(".")[1] for name in modules.split()}
    assert ours == BELOW | {"tokens", "verify"}


def test_what_the_server_needs_of_it_needs_no_http_client() -> None:
    """The package alone has no httpx2: `Verifier` is loaded when it is asked for."""
    program = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import watchword.verify, watchword.server.app\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
