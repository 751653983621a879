"""docs/accounts.md and docs/scopes.md: their programs, run as they are printed."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from tests.integrations.stories import bearer, code_of, login
from tests.pages import ROOT, blocks_of, files_of, printed_by, script_of
from tests.servers.process import free_port
from tests.test_docs import ADDRESS, steps_of
from watchword.config import Settings

ACCOUNTS: Final = ROOT / "docs/accounts.md"
SCOPES: Final = ROOT / "docs/scopes.md"
# The page starts the server and goes on; it is there a moment later.
STARTED: Final = """
trap 'kill $! && wait $! || true' EXIT
until curl -sf ADDRESS/openapi.json -o /dev/null; do kill -0 $!; sleep 0.05; done
"""


# The page reads the newest mail, which a moment later is there.
MAILED: Final = """
until test -e "$(ls outbox/*.eml | sed -n NUMBERp)"; do sleep 0.05; done
"""


def test_the_account_page_is_followed_from_its_first_line_to_its_last(
    tmp_path: Path,
) -> None:
    """Registered, confirmed, another password, a forgotten one."""
    for name, text in files_of(ACCOUNTS).items():
        (tmp_path / name).write_text(text)
    steps, port = steps_of(ACCOUNTS), str(free_port())
    assert [step.expected for step in steps].count(None) == 1
    commands = [step.commands for step in steps]
    start = commands[0].removesuffix("&\n")
    commands[0] = f"{start} >log 2>&1 &\n" + STARTED.replace("ADDRESS", ADDRESS)
    reads = [place for place, one in enumerate(commands) if "'$(token)'" in one]
    # Between the two tokens a notice of the change is mailed.
    for place, number in zip(reads, ("1", "3"), strict=True):
        commands[place] = MAILED.replace("NUMBER", number) + commands[place]
    printed = printed_by(script_of(commands).replace("8000", port), tmp_path)
    for step, told in zip(steps[1:], printed[1:], strict=True):
        assert step.expected is not None
        assert told.strip() == step.expected.text.strip()


def test_the_check_of_the_account_page_lets_some_in_and_others_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    programs = [block.text for block in blocks_of(ACCOUNTS) if block.kind == "python"]
    page: dict[str, Any] = {}
    exec(compile(programs[-1], str(ACCOUNTS), "exec"), page)
    with TestClient(page["app"], base_url="http://127.0.0.1") as client:
        codes = [
            code_of(
                client.post(
                    "/api/auth/register",
                    json={"email": email, "password": "four words make a phrase"},
                )
            )
            for email in ("ann@example.org", "ann@throw-away.example")
        ]
    assert codes == ["ok", "registration_refused"]


def test_the_settings_of_the_account_page_are_settings() -> None:
    (shown,) = [block.text for block in blocks_of(ACCOUNTS) if block.kind == "toml"]
    assert set(tomllib.loads(shown)) <= set(Settings.model_fields)


def test_the_program_of_the_scopes_page_lets_its_own_users_in(
    tmp_path: Path,
) -> None:
    """A sign-in has all scopes, or those it asks for, and never more."""
    (program,) = [b.text for b in blocks_of(SCOPES) if b.kind == "python"]
    (requested,) = [json.loads(b.text) for b in blocks_of(SCOPES) if b.kind == "json"]
    (tmp_path / "scoped.py").write_text(
        re.sub(r'(Auth\(")[^"]*', rf"\1sqlite:///{tmp_path}/app.db", program)
    )
    sys.path.insert(0, str(tmp_path))
    try:
        scoped = __import__("scoped")
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("scoped", None)
    with TestClient(scoped.app, base_url="http://127.0.0.1") as client:
        portal = client.portal
        assert portal is not None
        portal.call(scoped.auth.register, requested["username"], requested["password"])
        tokens = login(client, requested["username"], requested["password"])
        assert tokens["scope"].split() == scoped.SCOPES
        answer = client.post("/api/auth/login", json=requested).json()
        assert answer["scope"] == requested["scope"]
        good = bearer(answer["accessToken"])
        assert client.get("/orders", headers=good).json() == ["order 1"]
        more = requested | {"scope": "orders:delete"}
        refused = client.post("/api/auth/login", json=more)
        assert code_of(refused) == "invalid_scope"
        less = client.post(
            "/api/auth/login", json=requested | {"scope": "orders:write"}
        )
        access = bearer(less.json()["accessToken"])
        assert code_of(client.get("/orders", headers=access)) == "insufficient_scope"
