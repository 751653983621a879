"""What `test_docs_migrations.py` runs: each guide in a process and folder of its own."""

from __future__ import annotations

import importlib
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final

import jwt
from starlette.testclient import TestClient

from tests.integrations.stories import BASE, bearer, code_of, login
from tests.pages import COMMAND, ROOT, blocks_of, files_of
from watchword.errors import TokenRevoked

PASSWORD: Final = "four words make a phrase"
# Made by pwdlib 0.3.1 with PASSWORD, as fastapi-users 15 and its predecessors do.
PWDLIB: Final = {
    "ann@example.org": (
        "$argon2id$v=19$m=65536,t=3,p=4$Y5DSywToZMW2SE34DnilNA"
        "$LTEqHKj0iHpeWp8eqTaw47O8sFDEsNDq/BaEvhvh6RI"
    ),
    "bob@example.org": "$2b$04$3cr8fntkzJszzzkvfpY5qOtjKYhhKx7zNkoCMpUlUc7SnphmbZjSG",
    "cleo@example.org": "$2b$04$3cr8fntkzJszzzkvfpY5qOtjKYhhKx7zNkoCMpUlUc7SnphmbZjSG",
}
OLD_SECRET: Final = "the-secret-of-before-0123456789-abcdef"


def page(name: str) -> Path:
    """The guide, its files written where we are."""
    guide = ROOT / f"docs/migrate-from-{name}.md"
    for path, text in files_of(guide).items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    return guide


def run_shell(guide: Path) -> None:
    """The commands of the page print what it says."""
    (script,) = [block.text for block in blocks_of(guide) if block.kind == "sh"]
    (shown,) = [block.text for block in blocks_of(guide) if block.kind == "text"]
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


def old_token(**claims: Any) -> str:
    """As all three libraries make them with their defaults."""
    given = {"exp": int(time.time()) + 60, **claims}
    return jwt.encode(given, OLD_SECRET, algorithm="HS256")


def fastapi_users() -> None:
    guide = page("fastapi-users")
    users = sqlite3.connect("shop.db")
    users.execute(
        "CREATE TABLE user (id CHAR(36) PRIMARY KEY, email VARCHAR(320),"
        " hashed_password VARCHAR(1024), is_active BOOLEAN, is_superuser BOOLEAN,"
        " is_verified BOOLEAN)"
    )
    ids = {email: str(uuid.uuid4()) for email in PWDLIB}
    users.executemany(
        "INSERT INTO user VALUES (?, ?, ?, ?, ?, ?)",
        [
            (ids[email], email, hashed, "cleo" not in email, "ann" in email, True)
            for email, hashed in PWDLIB.items()
        ],
    )
    users.commit()
    users.close()
    os.environ["OLD_JWT_SECRET"] = OLD_SECRET
    app = importlib.import_module("app")
    importlib.import_module("both")
    with TestClient(app.app):
        pass  # the first start
    run_shell(guide)
    with TestClient(app.app) as client:
        for email, admin in (("ann@example.org", 200), ("bob@example.org", 403)):
            tokens = bearer(login(client, email, PASSWORD)["accessToken"])
            me = client.get("/users/me", headers=tokens)
            assert me.json() == {"id": ids[email], "email": email}
            assert client.get("/admin", headers=tokens).status_code == admin
            mine = {"orders of": ids[email]}
            assert client.get("/orders", headers=tokens).json() == mine
        body = {"username": "cleo@example.org", "password": PASSWORD}
        answer = client.post(f"{BASE}/login", json=body)
        assert code_of(answer) == "invalid_credentials"
        accept_old(
            client, {"aud": ["fastapi-users:auth"]}, "sub", ids["bob@example.org"]
        )
        assert client.portal is not None
        made = client.portal.call(app.after_registration, "dora@example.org", PASSWORD)
        tokens = login(client, "dora@example.org", PASSWORD)
        me = client.get(f"{BASE}/me", headers=bearer(tokens["accessToken"])).json()
        assert me["sub"] == str(made)


def accept_old(client: Any, claims: dict[str, Any], name: str, user: str) -> None:
    """Tokens of before are honoured as long as they would have been, and no others."""
    good = old_token(**claims, **{name: user})
    found = client.get("/orders", headers=bearer(good))
    assert found.json() == {"orders of": user}
    for bad in (
        old_token(**claims, **{name: user}, **{"exp": 1}),
        old_token(**claims),
        jwt.encode({**claims, name: user, "exp": 1 << 33}, "another" * 8, "HS256"),
        jwt.encode({**claims, name: user}, OLD_SECRET, "HS256"),
        jwt.encode({**claims, name: user, "exp": 1 << 33}, None, "none"),
    ):
        assert code_of(client.get("/orders", headers=bearer(bad))) == "token_invalid"
    assert code_of(client.get("/orders")) == "token_missing"
