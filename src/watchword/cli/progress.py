"""Progress of commands that may take minutes, shown only on a terminal."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import IO, Final

import click

_FIRST_SECONDS: Final = 2.0
_EVERY_SECONDS: Final = 1.0


@contextlib.contextmanager
def elapsing(doing: str) -> Iterator[None]:
    """A block that shows its running time each second, once it takes a while.

    A thread prints it, because a store may block the event loop meanwhile.
    """
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(doing, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(doing: str, over: threading.Event) -> None:
    begun = time.monotonic()
    text = ""
    pause = _FIRST_SECONDS
    while not over.wait(pause):
        text = f"{doing}: {time.monotonic() - begun:.0f} s so far"
        click.echo(f"\r{text}", nl=False, err=True)
        pause = _EVERY_SECONDS
    if text:
        click.echo("\r" + " " * len(text) + "\r", nl=False, err=True)


@contextlib.contextmanager
def reading(file: IO[bytes], doing: str) -> Iterator[Callable[[int], None]]:
    """A block with a progress bar. Yields a function to be told how much was read."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    found = os.fstat(file.fileno())
    # Piped input has no size: then the bar only moves.
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    with click.progressbar(
        repeat(None), length=size, label=doing, file=sys.stderr
    ) as bar:
        yield bar.update
