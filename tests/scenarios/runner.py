"""Serves as `watchword serve` does, and dies where a test wants it to.

    python runner.py [--die-before-commit FILE | --die-after-commit FILE] -- FLAGS
    python runner.py --die-before-members FILE -- FLAGS

With FILE there, the next swap of a session, or the next new one, kills the process as
kill -9 would: before its transaction is committed, or after it is on the disk and
before the caller hears of it; or the next end of a browser's sign-in does, before its
members end.
A password costs as little as it can, but where workers of their own make the hash.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from watchword.bootstrap import open_watchword
from watchword.cli import main
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.sessions.groups import Groups
from watchword.stores.postgresql.sessions import PostgresqlSessions
from watchword.stores.redis.session_rows import SessionRows
from watchword.stores.sqlite.sessions import SqliteSessions

_WRITES: Final[Sequence[tuple[type, str]]] = (
    (SqliteSessions, "swap"),
    (SqliteSessions, "create"),
    (PostgresqlSessions, "create"),
    # Here a recovery code is spent before, in the other store.
    (SessionRows, "create"),
)


def _die(file: Path) -> None:
    if file.exists():
        os.kill(os.getpid(), signal.SIGKILL)


def _arm(when: str, file: Path) -> None:
    if when == "--die-before-members":
        _make_deadly(Groups, "end_members", when, file)
        return
    for store, verb in _WRITES:
        _make_deadly(store, verb, when, file)


def _make_deadly(part: type, verb: str, when: str, file: Path) -> None:
    write = getattr(part, verb)

    async def deadly(*given: Any, **more: Any) -> Any:
        if when != "--die-after-commit":
            _die(file)
        done = await write(*given, **more)
        if when == "--die-after-commit":
            _die(file)
        return done

    setattr(part, verb, deadly)  # the fault under test


if __name__ == "__main__":
    split = sys.argv.index("--")
    ours, flags = sys.argv[1:split], sys.argv[split + 1 :]
    if ours:
        _arm(ours[0], Path(ours[1]))
    if "WATCHWORD_WORKERS" not in os.environ:
        wrapped = open_watchword.__wrapped__  # type: ignore[attr-defined]
        wrapped.__kwdefaults__["hashing"] = INSECURE_FOR_TESTS
    sys.argv = ["watchword", "serve", *flags]
    main()
