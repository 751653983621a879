"""`watchword inspect`: the truth about a token, and none of its secret parts."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.cli.terminal import PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.core.session import (
    Authenticated,
    RequestedToken,
    SessionOptions,
    TokenSet,
    as_text,
)


async def sign_in(watchword: Watchword) -> TokenSet:
    options = SessionOptions(client_id="first-party")
    return await watchword.sign_in.by_password("alice", PASSWORD, options)


@pytest.fixture
def alice(terminal: Terminal) -> Terminal:
    terminal.add("alice")
    return terminal


def look(terminal: Terminal, token: str, code: int) -> dict[str, Any]:
    """What --json says, once people's form was seen to hide the same secrets."""
    found = terminal.run("inspect", "--json", typed=f"{token}\n", code=code)
    plain = terminal.run("inspect", typed=token, code=code)
    for printed in (found.output, plain.output):
        assert token not in printed
        assert token[-22:] not in printed  # a MAC, or the end of a signature
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def test_a_live_access_token_is_shown_with_header_and_claims(alice: Terminal) -> None:
    tokens = alice.engine(sign_in)
    found = look(alice, tokens.access_token, 0)
    assert found["state"] == "live"
    assert found["signature"] == "right"
    assert found["session"] == "live"
    assert found["header"]["typ"] == "at+jwt"
    assert found["claims"]["sid"] == as_text(tokens.session.id)


def test_an_access_token_dies_with_its_session_and_of_age(alice: Terminal) -> None:
    aged = alice.engine(sign_in, ago=600)
    found = look(alice, aged.access_token, 1)
    assert (found["state"], found["session"]) == ("token_expired", "live")
    tokens = alice.engine(sign_in)
    alice.run("sessions", "revoke", "--user", "alice")
    found = look(alice, tokens.access_token, 1)
    assert (found["state"], found["signature"]) == ("token_revoked", "right")
    assert found["session"].endswith("revoked by operator")


def test_a_token_of_another_server_says_which(alice: Terminal) -> None:
    elsewhere = alice.engine(sign_in, port=9000, audience="shop")
    found = look(alice, elsewhere.access_token, 1)
    assert (found["state"], found["signature"]) == ("token_invalid", "right")
    assert found["issuer"].startswith("http://127.0.0.1:9000, and here it is")
    assert found["audience"] == "shop, and here it is api"


def test_a_forged_access_token_is_shown_and_not_believed(alice: Terminal) -> None:
    tokens = alice.engine(sign_in)
    head, body, signature = tokens.access_token.split(".")
    forged = urlsafe_b64encode(json.dumps({"sub": "\x1b[2J", "exp": 1e99}).encode())
    for token in (
        f"{head}.{forged.decode().rstrip('=')}.{signature}",
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}.",
    ):
        found = look(alice, token, 1)
        assert found["state"] == "token_invalid"
        assert found["signature"].startswith("wrong")
    assert (
        "\x1b"
        not in alice.run("inspect", typed=f"{head}.{forged.decode()}.x", code=1).stdout
    )


def test_a_refresh_token_is_live_then_spent_then_dead(alice: Terminal) -> None:
    first = alice.engine(sign_in)
    found = look(alice, first.refresh_token, 0)
    assert (found["state"], found["mac"], found["generation"]) == ("live", "right", 0)
    assert found["sessionId"] == as_text(first.session.id)

    async def refresh(watchword: Watchword) -> TokenSet:
        token = first.refresh_token
        return await watchword.sessions.refresh(token, client_id="first-party")

    second = alice.engine(refresh)
    spent = look(alice, first.refresh_token, 1)
    assert (spent["state"], spent["session"]) == ("refresh_reused", "live")
    assert (spent["generation"], spent["currentGeneration"]) == (0, 1)
    assert look(alice, second.refresh_token, 0)["state"] == "live"  # looking is no use
    alice.run("sessions", "revoke", found["sessionId"])
    dead = look(alice, second.refresh_token, 1)
    assert dead["state"] == "session_revoked"
    assert dead["session"].endswith("revoked by operator")


def test_an_expired_session_is_told(alice: Terminal) -> None:
    old = alice.engine(sign_in, ago=8 * 86400)
    found = look(alice, old.refresh_token, 1)
    assert (found["state"], found["session"]) == ("session_expired", "expired")


def test_a_refresh_token_with_a_wrong_mac_is_told(alice: Terminal) -> None:
    token = alice.engine(sign_in).refresh_token
    broken = token[:-1] + ("A" if token[-1] != "A" else "B")
    found = look(alice, broken, 1)
    assert (found["state"], found["mac"]) == ("refresh_invalid", "wrong")
    found = look(alice, token[:-3], 1)
    assert (found["state"], "mac" in found) == ("refresh_invalid", False)


@pytest.mark.parametrize(
    "garbage",
    ["", "hello", "a.b.c", "e30.W10.x", "e30." * 4, "\x00\x1b[2J", "ü" * 9999],
)
def test_garbage_is_called_so(alice: Terminal, garbage: str) -> None:
    told = json.loads(alice.run("inspect", "--json", typed=garbage, code=1).stdout)
    assert told["kind"] == "unknown"
    assert alice.run("inspect", typed=garbage, code=1).stdout.isprintable() is False


def test_a_token_is_never_an_argument(alice: Terminal) -> None:
    alice.run("inspect", "ww_rt_x", code=2)


def test_a_token_of_a_clients_own_is_told_as_such(alice: Terminal) -> None:
    """Live at the API that it is for, of whoever asks here."""
    alice.run(
        *("clients", "add", "job", "--confidential", "--scope", "read"),
        *("--audience", "https://orders.example"),
    )

    async def token(watchword: Watchword) -> str:
        client = await watchword.clients.get("job")
        return watchword.client_tokens.issue(
            client, RequestedToken(jkt="thumb")
        ).access_token

    made = alice.engine(token)
    found = look(alice, made, 0)
    assert found["kind"] == "access token of a client"
    assert (found["state"], found["signature"]) == ("live", "right")
    assert found["client"] == "job, confidential"
    assert found["boundTo"].startswith("the DPoP key thumb")
    assert "session" not in found
    assert "audience" not in found
    alice.run("clients", "disable", "job")
    assert look(alice, made, 0)["client"] == "job, confidential, disabled"
    assert look(alice, alice.engine(token, ago=600), 1)["state"] == "token_expired"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"client_id": "phone"}, {"client": "phone, public", "carriedIn": "bodies"}),
        ({"client_id": "gone"}, {"client": "unknown"}),
        ({"client_id": "first-party", "cookie": True}, {"carriedIn": "a cookie"}),
        (
            {"client_id": "first-party", "jkt": "thumb", "audience": ("a:b",)},
            {"boundTo": "the DPoP key thumb: not accepted as a Bearer token"},
        ),
    ],
)
def test_any_session_is_judged_as_its_own_client_would_use_it(
    alice: Terminal, options: dict[str, Any], told: dict[str, str]
) -> None:
    alice.run("clients", "add", "phone")

    async def work(watchword: Watchword) -> TokenSet:
        account = await watchword.accounts.get("alice")
        alice = Authenticated.by_password(account.id, at=watchword.clock())
        return await watchword.sessions.start(alice, SessionOptions(**options))

    tokens = alice.engine(work)
    refresh = look(alice, tokens.refresh_token, 0)
    access = look(alice, tokens.access_token, 0)
    assert (refresh["state"], access["state"]) == ("live", "live")
    assert (access["kind"], access["session"]) == ("access token", "live")
    assert refresh.items() >= told.items()
    if "boundTo" in told:
        assert access["boundTo"] == told["boundTo"]


def test_the_sign_in_of_a_browser_is_listed_shown_and_ended(alice: Terminal) -> None:
    """By its own policy, and by the rule for its cookie."""

    async def begin(watchword: Watchword) -> list[str]:
        assert watchword.self_service is not None
        browser, cookie = watchword.self_service.browser, ""
        made = []
        for _ in range(3):
            proof = await watchword.sign_in.check_password("alice", PASSWORD)
            tokens = await browser.begin(
                proof, cookie=cookie, address="192.0.2.1", user_agent=""
            )
            made.append(cookie := tokens.refresh_token)
        return made

    first, _, newest = alice.engine(begin, ago=3600)
    (row,) = alice.json("sessions", "list")
    assert row["clientId"] == "_pages"
    begun, ends = map(datetime.fromisoformat, (row["signedInAt"], row["expiresAt"]))
    # From the last of the three sign-ins on: a busy machine takes a while for them.
    assert timedelta(hours=12) <= ends - begun < timedelta(hours=12, minutes=30)
    found = look(alice, newest, 0)
    assert (found["state"], found["session"]) == ("live", "live")
    assert (found["client"], found["carriedIn"]) == ("_pages, public", "a cookie")
    assert found["expiresAt"] == row["expiresAt"]
    assert look(alice, first, 1)["state"] == "refresh_reused"
    alice.run("sessions", "revoke", row["id"])
    assert look(alice, newest, 1)["state"] == "session_revoked"
