"""What `test_docs_migrations.py` runs: each guide in a process of its own."""

from __future__ import annotations

import asyncio
import importlib
import os
import sqlite3
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, Final

import httpx2
import jwt
import pytest
from starlette.testclient import TestClient
from werkzeug.security import generate_password_hash

from tests.integrations.stories import BASE, bearer, code_of, login
from tests.pages import COMMAND, ROOT, blocks_of, files_of
from watchword import load_settings, open_watchword
from watchword.core.session import SessionOptions

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
        bob = ids["bob@example.org"]
        accept_old(client, "/orders", bob, aud=["fastapi-users:auth"])
        assert client.portal is not None
        made = client.portal.call(app.after_registration, "dora@example.org", PASSWORD)
        tokens = login(client, "dora@example.org", PASSWORD)
        me = client.get(f"{BASE}/me", headers=bearer(tokens["accessToken"])).json()
        assert me["sub"] == str(made)


def accept_old(client: Any, path: str, user: str, **claims: Any) -> None:
    """Tokens of before are honoured as long as they would have been, and no others."""
    found = client.get(path, headers=bearer(old_token(**claims, sub=user)))
    assert found.json() == {"orders of": user}
    later = {**claims, "sub": user, "exp": 1 << 33}
    for bad in (
        old_token(**claims, sub=user, exp=1),
        old_token(**claims),
        jwt.encode({**claims, "sub": user}, OLD_SECRET, "HS256"),
        jwt.encode(later, "another" * 8, "HS256"),
        jwt.encode(later, "", "none"),
        jwt.encode({**later, "aud": "other", "type": "refresh"}, OLD_SECRET, "HS256"),
    ):
        assert code_of(client.get(path, headers=bearer(bad))) == "token_invalid"
    assert code_of(client.get(path)) == "token_missing"


def simplejwt() -> None:
    guide = page("simplejwt")
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    import django  # noqa: PLC0415 - once it has its settings
    from django.conf import settings  # noqa: PLC0415

    django.setup()
    from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    assert settings.SECRET_KEY == OLD_SECRET
    PBKDF2PasswordHasher.iterations = 1000  # a million takes a second
    call_command("migrate", verbosity=0)
    ann = User.objects.create_user("ann", password=PASSWORD, is_staff=True)
    bob = User.objects.create_user("bob", password=PASSWORD)
    User.objects.create_user("cleo")  # signs in elsewhere
    with by_wsgi(get_wsgi_application()) as client:
        tokens = {}
        for user, staff in ((ann, 200), (bob, 403)):
            tokens = bearer(login(client, user.username, PASSWORD)["accessToken"])
            me = {"id": user.pk, "name": user.username}
            assert client.get("/me", headers=tokens).json() == me
            assert client.get("/staff", headers=tokens).status_code == staff
        new = {"password": "another phrase of words"}
        assert client.post("/password", json=new, headers=tokens).json() == {"ended": 1}
        answer = client.get("/me", headers=tokens)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
        only_bob = User.objects.filter(pk=bob.pk)
        only_bob.update(is_active=False)
        assert not_signed_in(client, "bob", new["password"])
        only_bob.update(is_active=True)

    run_shell(guide)
    for user, password in ((ann, PASSWORD), (bob, new["password"])):
        assert signed_in("sqlite:///sessions.db", user.username, password) == user.pk
    accept_old_in_django(ann.pk)


def accept_old_in_django(user_id: int) -> None:
    from django.contrib.auth.models import User  # noqa: PLC0415
    from rest_framework.exceptions import APIException  # noqa: PLC0415
    from rest_framework.test import APIRequestFactory  # noqa: PLC0415
    from rest_framework.views import APIView  # noqa: PLC0415

    both = importlib.import_module("shop.both").Both()
    requests = APIRequestFactory()

    def whom(token: str) -> Any:
        given = requests.get("/me", headers=bearer(token))
        return both.authenticate(APIView().initialize_request(given))

    claims = {"token_type": "access", "user_id": str(user_id)}
    found, _ = whom(old_token(**claims))
    assert found == User.objects.get(pk=user_id)
    for bad in (
        old_token(**claims, exp=1),
        old_token(token_type="refresh", user_id="1"),
        old_token(user_id="1"),
        jwt.encode(claims, OLD_SECRET, "HS256"),
        jwt.encode({**claims, "exp": 1 << 33}, "another" * 8, "HS256"),
    ):
        with pytest.raises(APIException) as refused:
            whom(bad)
        assert refused.value.status_code == 401


def by_wsgi(app: Any) -> httpx2.Client:
    transport = httpx2.WSGITransport(app=app)
    return httpx2.Client(transport=transport, base_url="http://127.0.0.1")


def not_signed_in(client: Any, name: str, password: str) -> bool:
    body = {"username": name, "password": password}
    return code_of(client.post(f"{BASE}/login", json=body)) == "invalid_credentials"


def signed_in(database: str, name: str, password: str) -> int:
    """The subject of whom a Watchword without an app signs in, as a number."""

    async def run() -> int:
        settings = load_settings(database_url=database, data=".")
        async with open_watchword(settings, background=False) as watchword:
            options = SessionOptions(client_id="first-party")
            tokens = await watchword.sign_in.by_password(name, password, options)
            return uuid.UUID(bytes=tokens.session.account_id).int

    return asyncio.run(run())


def flask_jwt_extended() -> None:
    guide = page("flask-jwt-extended")
    users = sqlite3.connect("shop.db")
    users.execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE,"
        " password TEXT, clerk BOOLEAN)"
    )
    rows = [
        (7, "ann", generate_password_hash(PASSWORD), True),
        (8, "bob", generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"), False),
    ]
    users.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", rows)
    users.commit()
    users.close()
    os.environ["OLD_JWT_SECRET"] = OLD_SECRET
    program = importlib.import_module("app")
    importlib.import_module("both")
    with by_wsgi(program.app) as client:
        for user_id, name, _, clerk in rows:
            tokens = bearer(login(client, name, PASSWORD)["accessToken"])
            me = {"id": user_id, "name": name}
            assert client.get("/me", headers=tokens).json() == me
            answer = client.get("/orders", headers=tokens)
            assert answer.status_code == (200 if clerk else 403)
            closed = client.post("/close-account", headers=tokens)
            assert closed.json() == {"ended": 1}
            assert code_of(client.get("/me", headers=tokens)) == "token_revoked"
        assert not_signed_in(client, "cleo", PASSWORD)
        assert not_signed_in(client, "bob", "another phrase of words")
        accept_old(client, "/basket", "7", type="access", fresh=True)
    program.auth.close()

    run_shell(guide)
    for user_id, name, _, _ in rows:
        assert signed_in("sqlite:///sessions.db", name, PASSWORD) == user_id
