"""SIGTERM: what is in flight is answered, nothing acknowledged is lost, exit code 0."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pages import clean_environment
from tests.patience import PATIENCE, until
from tests.server.live import PASSWORD, Answer, Live, read_answer, request

BODY = json.dumps({"username": "admin", "password": PASSWORD}).encode()
HEADERS = {
    "Host": "h",
    "Content-Type": "application/json",
    "Content-Length": str(len(BODY)),
}


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one", "workers"])
def test_requests_in_flight_are_answered(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Their bodies were half sent when the signal came."""
    with Live(tmp_path / "data", *flags) as live:
        live.login()
        whole = request("POST", "/api/auth/login", HEADERS, BODY)
        connections = [live.connect() for _ in range(5)]
        for connection in connections:
            connection.sendall(whole[:-10])
        idle, silent = live.connect(), live.connect()
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert Answer(read_answer(idle)).status == 200
        live.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # it has the signal before the rest, unless the machine is busy
        token_sets = []
        for connection in connections:
            connection.sendall(whole[-10:])
            answer = Answer(read_answer(connection))
            assert answer.status == 200, answer.raw
            token_sets.append(answer.json())
            connection.close()
        assert idle.recv(1) == b""  # who had asked nothing is let go
        assert silent.recv(1) == b""
        idle.close()
        silent.close()
        assert live.stop() == 0
        with pytest.raises(OSError, match="refused"):
            live.connect()
        assert "Traceback" not in live.printed()
        live.start()
        for tokens in token_sets:
            body = {"refreshToken": tokens["refreshToken"]}
            assert live.call("POST", "/api/auth/refresh", body).status == 200


def test_a_client_that_never_finishes_does_not_hold_it_up(tmp_path: Path) -> None:
    """Though its own deadline is longer than the test would wait for the end."""
    data = tmp_path / "data"
    with Live(data, seconds=2 * PATIENCE) as live, live.connect() as connection:
        connection.sendall(request("POST", "/api/auth/login", HEADERS))
        live.login()  # the first has been read when a later one is answered
        assert live.stop() == 0


def test_under_load_no_acknowledged_rotation_is_lost(tmp_path: Path) -> None:
    with Live(tmp_path / "data") as live:
        chains: list[list[Any]] = [[live.login()["refreshToken"]] for _ in range(4)]

        def follow(chain: list[Any]) -> None:
            headers = HEADERS | {"Connection": "keep-alive"}
            try:
                with live.connect() as connection:
                    while True:
                        body = json.dumps(chain[-1]).encode()
                        key = {"Idempotency-Key": f"key-of-rotation-{len(chain):06}"}
                        length = {"Content-Length": str(len(body))}
                        connection.sendall(
                            request(
                                "POST",
                                "/api/auth/refresh",
                                headers | key | length,
                                body,
                            )
                        )
                        answer = Answer(read_answer(connection))
                        if answer.status != 200:
                            chain.append(None if answer.status == 0 else answer.raw)
                            return
                        chain.append(answer.json()["refreshToken"])
            except OSError:
                chain.append(None)

        threads = [threading.Thread(target=follow, args=(chain,)) for chain in chains]
        for thread in threads:
            thread.start()
        until(lambda: min(map(len, chains)) > 10)
        assert live.stop() == 0
        for thread in threads:
            thread.join()
        live.start()
        for chain in chains:
            assert chain.pop() is None  # closed, not refused
            assert len(chain) > 10
            key = f"key-of-rotation-{len(chain):06}"
            last = live.call(
                "POST", "/api/auth/refresh", chain[-1], Idempotency_Key=key
            )
            assert last.status == 200, last.raw


@pytest.mark.parametrize("flags", [("--workers", "2")])
def test_so_do_several_workers(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with Live(tmp_path / "data", *flags) as live:
        live.login()
        assert live.stop() == 0


LOST = """
import signal, sys
from watchword.__main__ import main
from watchword.server import serve

class Gone:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

made = serve._configuration

def configuration(settings):
    Gone()
    return made(settings)

serve._configuration = configuration
sys.argv = ["watchword", "serve", "--port", "0"]
main()
"""


def test_a_signal_of_which_the_exception_is_dropped_ends_the_server(
    tmp_path: Path,
) -> None:
    """It came before the server listened for signals, and within a destructor."""
    done = subprocess.run(
        [sys.executable, "-c", LOST],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Exception ignored" in done.stderr
    assert done.returncode == 0
