"""A server whose disk is full: it says so, refuses for now, and loses nothing."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from tests.patience import until
from tests.server.live import Live

REFRESH = "/api/auth/refresh"


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit: Linux has it")
def test_a_full_disk_is_told_to_the_operator_and_to_what_asks_for_readiness(
    tmp_path: Path,
) -> None:
    """Files cannot grow any more, as on a full disk; then there is room again."""
    with Live(tmp_path / "data") as live:
        token = live.login()["refreshToken"]
        assert live.call("GET", "/readyz").status == 200
        wal = (live.data / "watchword.db-wal").stat().st_size
        resource.prlimit(live.pid, resource.RLIMIT_FSIZE, (wal, -1))
        for _ in range(3):
            refused = live.call("POST", REFRESH, {"refreshToken": token})
            assert (refused.status, refused.code) == (503, "store_unavailable")
            assert refused.headers["retry-after"]
        until(readiness, live, 503)
        assert live.call("GET", "/healthz").status == 200  # not to be restarted
        resource.prlimit(live.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert live.call("POST", REFRESH, {"refreshToken": token}).status == 200
        until(readiness, live, 200)
        live.stop()
        told = [
            line for line in live.printed().splitlines() if "does not answer" in line
        ]
        assert len(told) == 1
        assert "WARNING watchword.store: the store does not answer: " in told[0]
        assert token not in live.printed()


def readiness(live: Live, status: int) -> bool:
    """Whether a load balancer that asks learns that."""
    return bool(live.call("GET", "/readyz").status == status)
