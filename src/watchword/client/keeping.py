"""Reading and writing what a client keeps, as steps: the disk is never on the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from watchword.client.file import Memory, Stored, TokenFile
from watchword.client.runners import Disk, Exchange
from watchword.errors import TokenFileError


def read(store: Memory[Stored] | TokenFile[Stored]) -> Exchange[Stored | None]:
    """What is kept, or None. Raises TokenFileError."""
    found: Stored | None = yield from _on_disk(store, store.read)
    return found


def write(
    store: Memory[Stored] | TokenFile[Stored], stored: Stored | None
) -> Exchange[None]:
    """Keep that, or nothing. Raises TokenFileError."""
    yield from _on_disk(store, partial(store.write, stored))


def _on_disk(
    store: Memory[Stored] | TokenFile[Stored], work: Callable[[], Any]
) -> Exchange[Any]:
    if not store.on_disk:
        return work()
    done, error = yield Disk(partial(_outcome, work))
    if error is not None:
        raise error
    return done


def _outcome(work: Callable[[], Any]) -> tuple[Any, TokenFileError | None]:
    """The result of the work, and its error: a runner cannot raise into a generator."""
    try:
        return work(), None
    except TokenFileError as error:
        return None, error
