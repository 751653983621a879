"""The command line as a test drives it, and the engine behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from click.testing import CliRunner, Result

from watchword.bootstrap import Watchword, open_watchword
from watchword.cli import main
from watchword.config import load_settings

PASSWORD = "correct-horse-battery-staple-41"
OTHER_PASSWORD = "seven wet umbrellas in a lighthouse"

Found = TypeVar("Found")


class Terminal(msgspec.Struct, frozen=True):
    """Runs commands on one data folder."""

    data: Path

    def run(
        self, *words: str | Path, typed: str | bytes | None = None, code: int = 0
    ) -> Result:
        """What `watchword WORDS --data …` did, having exited with `code`."""
        options = ["--data", str(self.data)]
        cut = words.index("--") if "--" in words else len(words)
        line = [*map(str, words[:cut]), *options, *map(str, words[cut:])]
        result = CliRunner().invoke(main, line, input=typed)
        assert result.exit_code == code, (line, result.output, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def json(self, *words: str | Path, **how: Any) -> Any:
        """The same with --json: what a program reads from standard output."""
        return json.loads(self.run(*words, "--json", **how).stdout)

    def add(self, name: str, *words: str) -> None:
        typed = f"{PASSWORD}\n"
        self.run("user", "add", name, "--password-stdin", *words, typed=typed)

    def engine(
        self,
        work: Callable[[Watchword], Awaitable[Found]],
        *,
        ago: int = 0,
        **settings: Any,
    ) -> Found:
        """What `work` returns, done on the same folder so many seconds ago."""

        async def run() -> Found:
            async with open_watchword(
                load_settings(data=self.data, **settings),
                background=False,
                clock=lambda: time.time_ns() // 1_000_000 - ago * 1000,
            ) as watchword:
                return await work(watchword)

        return asyncio.run(run())
