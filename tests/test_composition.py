"""compose.yaml at work: the six steps, a health check, a restart, and a crash."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.composition import SERVERS, Answer, Composition, build_wheel
from tests.pages import ROOT, blocks_of, clean_environment
from tests.patience import until
from watchword.core.limits import ACCESS_TTL, SECOND

BASE = "/api/auth"


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    folder = tmp_path_factory.mktemp("composed")
    composition = Composition(folder, build_wheel(folder))
    try:
        yield composition.start()
    finally:
        composition.kill()


def login(composed: Composition) -> dict[str, Any]:
    password = (composed.secrets / "admin-password").read_text()
    body = {"username": "admin", "password": password}
    answer = composed.call("POST", f"{BASE}/login", body)
    assert answer.status == 200, answer
    return answer.body


def secure(composed: Composition, tokens: dict[str, Any]) -> Answer:
    bearer = f"Bearer {tokens['accessToken']}"
    return composed.call("GET", f"{BASE}/secure", Authorization=bearer)


def refresh(composed: Composition, tokens: dict[str, Any], key: str) -> Answer:
    body = {"refreshToken": tokens["refreshToken"]}
    return composed.call("POST", f"{BASE}/refresh", body, Idempotency_Key=key)


def test_the_six_steps_on_both_servers_in_turn(composed: Composition) -> None:
    """Whichever server is asked, each knows what the other one did."""
    first = login(composed)
    for _ in SERVERS:
        assert secure(composed, first).status == 200
    composed.advance(ACCESS_TTL // SECOND)
    assert secure(composed, first).body["code"] == "token_expired"

    second = refresh(composed, first, "the-key-of-this-one-refresh").body
    again = refresh(composed, first, "the-key-of-this-one-refresh").body
    assert again["refreshToken"] == second["refreshToken"]
    for _ in SERVERS:
        assert secure(composed, second).status == 200

    body = {"refreshToken": second["refreshToken"]}
    assert composed.call("POST", f"{BASE}/logout", body).status == 200
    until(lambda: all(secure(composed, again).status == 401 for _ in SERVERS))
    for _ in SERVERS:
        answer = refresh(composed, second, "another-key-for-another")
        assert answer.body["code"] == "session_revoked"


def test_the_clients_address_is_what_the_proxy_saw(composed: Composition) -> None:
    tokens = login(composed)
    bearer = f"Bearer {tokens['accessToken']}"
    forged = {"X_Forwarded_For": "192.0.2.66", "X_Forwarded_Proto": "http"}
    answer = composed.call("GET", f"{BASE}/sessions", Authorization=bearer, **forged)
    assert answer.status == 200
    for server in composed.servers.values():
        until(lambda log: "127.0.0.2 GET" in log.read_text(), server.log)
        assert "192.0.2.66" not in server.log.read_text()


def test_nobody_but_the_proxy_is_believed(composed: Composition) -> None:
    for server in SERVERS:
        assert composed.plainly(server) == 403
        assert composed.plainly(server, X_Forwarded_Proto="https") == 403


def test_the_page_shows_how_to_call_it(composed: Composition) -> None:
    """The lines of docs/deployment.md, as a reader types them."""
    blocks = blocks_of(ROOT / "docs/deployment.md")
    lines = [block.text for block in blocks if "--cacert deploy/root.crt" in block.text]
    script = "\n".join(lines).replace("https://localhost:8443", composed.url)
    script = script.replace("deploy/secrets", str(composed.secrets))
    script = script.replace("deploy/root.crt", str(composed.certificate))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '{"status":"ready"}' in done.stdout
    assert '"accessToken":"' in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_servers_are_restarted_one_by_one_and_no_refresh_fails(
    composed: Composition, number: signal.Signals
) -> None:
    """In order, and by a crash: the key lets the proxy ask the other server."""
    answers: list[Answer] = []
    over = threading.Event()

    def go_on() -> None:
        tokens = login(composed)
        while not over.is_set():
            answer = refresh(composed, tokens, f"key-of-refresh-{len(answers):08}")
            answers.append(answer)
            if answer.status != 200:
                return
            tokens = answer.body

    def got_on(least: int) -> bool:
        return len(answers) > least or not client.is_alive()

    client = threading.Thread(target=go_on)
    client.start()
    try:
        for server in SERVERS:
            until(got_on, len(answers) + 10)
            composed.restart(server, number)
    finally:
        over.set()
        client.join()
    assert {answer.status for answer in answers} == {200}


def test_a_server_that_is_away_fails_its_health_check(composed: Composition) -> None:
    name = SERVERS[0]
    composed.servers[name].kill()
    assert composed.probe(name) == 1
    composed.servers[name].start()
    assert composed.probe(name) == 0


def test_a_server_writes_no_file(composed: Composition) -> None:
    """Its root file system is read-only, and it has no other."""
    for server in composed.servers.values():
        log = server.log.read_text()
        assert "WATCHED" in log
        assert "WRITES" not in log


def test_the_migration_may_run_again(composed: Composition) -> None:
    """As it does with every `docker compose up`."""
    composed.migrate()


def test_the_folder_of_secrets_is_for_its_owner(tmp_path: Path) -> None:
    script = tmp_path / "secrets.sh"
    script.write_text((ROOT / "deploy/secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    drawn = {file.name: file.read_text() for file in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    again = subprocess.run(["sh", script], check=False, capture_output=True)
    assert again.returncode == 1
    assert {file.name: file.read_text() for file in folder.iterdir()} == drawn
