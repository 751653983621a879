"""Secrets that turn up where none belong: not in the log, and not said again.

The stage looks in the logs after every test of this folder; here are the places where
people and programs put secrets by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.proofs import Prover
from tests.surfaces.stage import COOKIE, FIRST, FORM, SECURE, Holder, Pair, Stage

KINDS: Final = ("access", "refresh", "secret", "password", "proof", "retry key")
_REFUSALS: Final = tuple(
    f"{status} {code}"
    for status, code in (
        (400, "invalid_request"),
        (400, "invalid_grant"),
        (400, "invalid_scope"),
        (400, "invalid_target"),
        (400, "invalid_dpop_proof"),
        (400, "use_dpop_nonce"),
        (400, "unsupported_grant_type"),
        (401, "invalid_client"),
        (401, "invalid_credentials"),
        (401, "token_missing"),
        (401, "token_invalid"),
        (401, "refresh_invalid"),
        (400, "confirmation_invalid"),
        (400, "email_invalid"),
        (400, "name_invalid"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (415, "unsupported_media_type"),
        (200, "ok"),
        (200, "inactive"),
    )
)
_RETRY_KEY: Final = "retry-key-of-the-victim-01"


def _secret(stage: Stage, victim: Holder, kind: str) -> str:
    return {
        "access": victim.access,
        "refresh": victim.refresh,
        "secret": stage.secret("shop"),
        "password": PASSWORD,
        "proof": str(stage.proof(Prover(), "POST", "/oauth/token")[1]),
        "retry key": _RETRY_KEY,
    }[kind]


Request = tuple[str, str, list[Pair], bytes]


def misplaced(secret: str) -> Iterator[tuple[str, Request]]:
    text = quote(secret, safe="")
    kind: list[Pair] = [("Content-Type", FORM)]
    for name in ("username", "code", "state", "access_token", "token", "client_secret"):
        yield f"query {name}", ("GET", f"{SECURE}?{name}={text}", [], b"")
        yield f"query {name}", ("POST", f"/oauth/token?{name}={text}", kind, b"")
    for name in (
        *("grant_type", "client_id", "client_secret", "scope", "resource", "token"),
        *("token_type_hint", "refresh_token", "username", "password", text),
    ):
        body = f"client_id={FIRST}&grant_type=refresh_token&refresh_token=x&token=x"
        body = "&".join(p for p in body.split("&") if not p.startswith(f"{name}="))
        for path in ("token", "revoke", "introspect"):
            form = f"{body}&{name}={text}".encode()
            yield f"form {name}", ("POST", f"/oauth/{path}", kind, form)
    for name in ("Host", "Referer", "Origin", "Accept", "X-Request-Id", "Traceparent"):
        yield name, ("GET", SECURE, [(name, secret)], b"")
    for name in ("Authorization", "DPoP", "Idempotency-Key", "Content-Type"):
        yield name, ("POST", f"{BASE}/refresh", [(name, secret)], b"")
        yield name, ("POST", "/oauth/token", [(name, secret)], b"")
    cookie = ("Cookie", f"{COOKIE}={secret}")
    yield "a cookie, without the header", ("POST", f"{BASE}/logout", [cookie], b"")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_secret_in_the_wrong_place(kind: str, stage: Stage) -> None:
    victim = await stage.sign_in()
    secret = _secret(stage, victim, kind)
    stage.secrets.append(secret)
    faults: list[str] = []
    for name, request in misplaced(secret):

        async def throw(_: str, request: Request = request) -> Answer:
            return await stage.call(*request)

        allowed = (*_REFUSALS, "403 csrf_rejected", "400 unauthorized_client")
        faults += await stage.besiege([(name, secret)], throw, allowed, advance=60_000)
    assert faults == []


@pytest.mark.parametrize("kind", ["access", "refresh", "secret", "proof"])
async def test_a_token_in_the_path(kind: str, stage: Stage) -> None:
    """Whole or escaped; what has a prefix of ours is known by it."""
    victim = await stage.sign_in()
    secret = _secret(stage, victim, kind)
    stage.secrets.append(secret)
    escaped = "".join(f"%{ord(char):02x}" for char in secret)
    good = ("Authorization", f"Bearer {victim.access}")
    faults: list[str] = []
    for path in (
        *(f"/{secret}", f"/{escaped}", f"{SECURE}/{secret}", f"{SECURE};{secret}"),
        *(f"{BASE}/sessions/{secret}", f"/oauth/token/{secret}", f"/docs/{secret}"),
        *(f"/.well-known/oauth-authorization-server/{secret}", f"//{secret}//x"),
    ):
        for method in ("GET", "POST", "DELETE"):

            async def throw(_: str, method: str = method, path: str = path) -> Answer:
                return await stage.call(method, path, [good])

            case = (f"{method} {path[:30]}", secret)
            faults += await stage.besiege([case], throw, _REFUSALS)
    assert faults == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_secret_as_a_name(kind: str, stage: Stage) -> None:
    """Who pastes a password in the field above it must not find it in the audit log."""
    victim = await stage.sign_in()
    secret = _secret(stage, victim, kind)
    stage.secrets.append(secret)
    faults: list[str] = []
    for name in ("username", "clientId", "scope", "resource", secret):
        value = [secret] if name == "resource" else secret
        body = {"username": "alice", "password": "wrong", name: value}

        async def throw(_: str, body: Mapping[str, object] = body) -> Answer:
            return await stage.json(f"{BASE}/login", body)

        allowed = _REFUSALS
        faults += await stage.besiege([(name, secret)], throw, allowed, advance=1)
    assert faults == []


async def test_a_fault_is_told_without_the_text_at_fault(stage: Stage) -> None:
    """Where it is and what it should be: no part of what was sent."""
    await stage.sign_in()
    text = "text-of-whoever-sent-it"
    good: dict[str, object] = {"username": "alice", "password": PASSWORD}
    faults: list[str] = []
    for where, member in (
        *(("login", name) for name in ("username", "password", "transport", "scope")),
        *(("login", name) for name in ("clientId", "resource", text)),
        *((name, "refreshToken") for name in ("refresh", "logout", "step-up")),
        *((name, "token") for name in ("register/confirm", "password/reset")),
        *(("register", name) for name in ("email", "username", "locale")),
        *((name, "email") for name in ("password/forgot", "email/change")),
    ):
        for value in (text, [text], {text: text}, {"a": {text: 1}}, [[text]]):
            path, body = f"{BASE}/{where}", {**good, member: value}

            async def throw(
                _: str, path: str = path, body: Mapping[str, object] = body
            ) -> Answer:
                return await stage.json(path, body)

            name = f"{where}, {member}: {value!r:.20}"
            found = await stage.besiege([(name, text)], throw, _REFUSALS, advance=1)
            faults += found
    assert faults == []
