"""The six steps, through a real server whose clock is set on between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.live import PASSWORD, Answer, Live

BASE = "/api/auth"
TTL = 120


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path / "data", clock=True) as server:
        yield server


def secure(live: Live, tokens: Any) -> Answer:
    return live.call("GET", f"{BASE}/secure", access=tokens["accessToken"])


def refresh(live: Live, token: str, **headers: str) -> Answer:
    body = {"refreshToken": token}
    return live.call("POST", f"{BASE}/refresh", body, **headers)


def test_the_six_steps_a_theft_and_a_restart(live: Live) -> None:
    body = {"username": "admin", "password": PASSWORD}
    one = live.call("POST", f"{BASE}/login", body)
    assert (one.status, one.headers["cache-control"]) == (200, "no-store")
    first = one.json()
    assert (first["tokenType"], first["expiresIn"]) == ("Bearer", TTL)

    two = secure(live, first)
    assert two.status == 200
    assert two.json()["message"] == "API accessed using valid JWT token"

    live.advance(TTL)
    three = secure(live, first)
    assert (three.status, three.code) == (401, "token_expired")
    challenge = three.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="watchword", error="invalid_token"')

    four = refresh(live, first["refreshToken"])
    assert four.status == 200
    second = four.json()
    assert second["refreshToken"] != first["refreshToken"]
    assert second["sessionId"] == first["sessionId"]

    five = secure(live, second)
    assert five.status == 200

    six = live.call("POST", f"{BASE}/logout", {"refreshToken": second["refreshToken"]})
    assert six.json() == {"message": "Logged out successfully"}
    assert secure(live, second).code == "token_revoked"
    assert refresh(live, second["refreshToken"]).code == "session_revoked"

    # Another session, and somebody with a copy of its spent token.
    mine = live.login()
    mine_now = refresh(live, mine["refreshToken"]).json()
    other = live.login()
    stolen = refresh(live, mine["refreshToken"])
    assert (stolen.status, stolen.code) == (401, "refresh_reused")
    assert refresh(live, mine_now["refreshToken"]).code == "session_revoked"
    assert secure(live, mine_now).code == "token_revoked"
    assert secure(live, other).status == 200


def test_a_restart_keeps_everything(live: Live) -> None:
    alive, over, lost = live.login(), live.login(), live.login()
    live.call("POST", f"{BASE}/logout", {"refreshToken": over["refreshToken"]})
    key = "the-retry-key-of-a-lost-answer"
    answered = refresh(live, lost["refreshToken"], Idempotency_Key=key).json()
    keys = live.call("GET", "/.well-known/jwks.json").json()
    assert live.stop() == 0

    live.start()
    assert live.call("GET", "/.well-known/jwks.json").json() == keys
    assert refresh(live, over["refreshToken"]).code == "session_revoked"
    again = refresh(live, lost["refreshToken"], Idempotency_Key=key).json()
    assert again["refreshToken"] == answered["refreshToken"]
    next_one = refresh(live, alive["refreshToken"])
    assert next_one.status == 200
    assert secure(live, next_one.json()).status == 200

    live.kill()
    live.start()
    assert refresh(live, over["refreshToken"]).code == "session_revoked"
    assert refresh(live, alive["refreshToken"]).code == "refresh_reused"
    assert live.login()["sessionId"] != alive["sessionId"]


def test_an_access_token_outlives_a_restart_and_a_revocation_does_too(
    live: Live,
) -> None:
    tokens, ended = live.login(), live.login()
    live.call("POST", f"{BASE}/logout", {"refreshToken": ended["refreshToken"]})
    live.kill()
    live.start()
    assert secure(live, ended).code == "token_revoked"
    assert secure(live, tokens).code == "ok"


def test_nothing_secret_was_printed(live: Live) -> None:
    tokens = live.login()
    refreshed = refresh(live, tokens["refreshToken"]).json()
    secure(live, refreshed)
    live.call("GET", f"/{tokens['accessToken']}")
    live.call("DELETE", f"{BASE}/sessions/{tokens['refreshToken']}")
    assert live.stop() == 0
    printed = live.printed()
    assert "POST /api/auth/login 200" in printed
    secrets = [PASSWORD, (live.data / "secret").read_text().strip()]
    for one in (tokens, refreshed):
        secrets += [one["accessToken"], one["refreshToken"]]
        secrets += [one["accessToken"].split(".")[2]]
    assert not [secret for secret in secrets if secret in printed]
