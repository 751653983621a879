"""A thousand clients with one session file, and a fifth of the answers lost.

Owns the row `client-storm`: processes and tasks that all ask an API at once, expiry
after expiry; between them and the server every fifth answer to a refresh is dropped. In
turn the clients know that their token is over, and only the server does. Counted are
rotations, by the file's own token, and whatever is not a 200.
"""

from __future__ import annotations

import random
import time
from base64 import urlsafe_b64decode
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from bench.measuring import FULL, Effort
from bench.report import Row
from tests.client.crowd import crowd
from tests.client.middle import LOST, REFRESH, Middle
from tests.server.live import PASSWORD, Live
from watchword.client import Auth
from watchword.client.stored import StoredSession
from watchword.core import limits

LIFE: Final = limits.ACCESS_TTL // limits.SECOND
DROPPED: Final = 0.2


def client_storm(folder: Path, effort: Effort) -> Row:
    """Rotations per expiry; errors and logouts beside it."""
    processes, tasks, expiries = (20, 50, 100) if effort is FULL else (2, 5, 4)
    file, off = folder / "session.json", folder / "off-by"
    off.write_text("0")
    got: Counter[str] = Counter()
    worst = 0
    chance = random.Random(20)  # a simulation, and the same each time
    with Live(folder / "data", CLOCK_OFF_BY=str(off)) as live, Middle(live.port) as way:
        Auth(way.url, file=file).login("admin", PASSWORD)
        lost = (LOST if chance.random() < DROPPED else None for _ in range(9999))
        way.then(REFRESH, *lost)
        started = time.perf_counter()
        with crowd(
            way.url, live.url, file, processes=processes, tasks=tasks
        ) as clients:
            ahead = 0
            for expiry in range(1, expiries + 1):
                if expiry % 2:
                    ahead += LIFE
                else:
                    _move(off)
                got += clients.ask(ahead)
                worst = max(worst, abs(_generation(file) - expiry))
        elapsed = time.perf_counter() - started
        rotations, sent = _generation(file), len(way.refreshes())
    return Row(
        name="client-storm",
        value=rotations / expiries,
        unit="rotations per expiry",
        budget="1, no logout",
        detail={
            "clients": f"{processes} processes x {tasks} tasks, one session file",
            "expiries": str(expiries),
            "rotations": str(rotations),
            "most that the count was ever off by": str(worst),
            "refreshes sent": str(sent),
            "their answers dropped": str(sent - rotations),
            "requests": f"{got.total():,}, in {elapsed:.0f} s",
            "answers": dict(got),
            "logouts": "none" if file.exists() else "1",
        },
    )


def _move(off: Path) -> None:
    aside = off.with_suffix(".new")
    aside.write_text(str(int(off.read_text()) + LIFE))
    aside.replace(off)


def _generation(file: Path) -> int:
    stored = msgspec.json.decode(file.read_bytes(), type=StoredSession)
    return int.from_bytes(urlsafe_b64decode(stored.refresh_token[6:])[17:21])
