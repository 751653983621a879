"""Every event of the audit log says who did it, and from where."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.terminal import OTHER_PASSWORD, PASSWORD, Terminal
from tests.scenarios.api import BASE, LocalApi, bearer, local_api, settings_for
from watchword.cli import common
from watchword.core.actor import APP, Actor, By, EndReason
from watchword.core.limits import DAY, KEY_ROTATION
from watchword.core.session import SessionOptions
from watchword.ports.audit import Event, EventType
from watchword.testing import ManualClock

ADDRESS = "127.0.0.1"  # the test client's
USER = {"by": "user"}
SYSTEM = {"by": "system"}
OPTIONS = SessionOptions(client_id="first-party")
DJANGO = "pbkdf2_sha256$1000$saltsaltsalt$8pqAQVplveJ8O3cVlyRbM1jey+bRuWeMAXKAs78gqIE="


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "data")


def seen(event: Event, *, of: tuple[str, ...] = ()) -> tuple[str, dict[str, Any], str]:
    """The type, who it was (and those details), and the address."""
    kept = ("by", "operator", *of)
    told = {name: value for name, value in event.detail.items() if name in kept}
    return event.type.value, told, event.address


async def events(api: LocalApi, after: int) -> list[Event]:
    return [event for _, event in await api.engine.stores.audit.read(after, 999)]


Step = Callable[[LocalApi, Any], Awaitable[Any]]


async def _refresh_spent(api: LocalApi, tokens: Any) -> None:
    await api.refresh(tokens["refreshToken"], "k" * 16)
    await api.refresh(tokens["refreshToken"], "other-key-0123456789")


async def _end_mine(api: LocalApi, tokens: Any) -> None:
    headers = bearer(tokens["accessToken"])
    await api.client.delete(f"{BASE}/sessions/{tokens['sessionId']}", headers=headers)


async def _oauth_revoke(api: LocalApi, tokens: Any) -> None:
    form = {"token": tokens["refreshToken"], "client_id": "first-party"}
    await api.client.post("/oauth/revoke", data=form)


REVOKED = EventType.SESSION_REVOKED.value
HTTP: dict[str, tuple[Step, list[tuple[str, dict[str, Any], str]]]] = {
    "sign-in": (
        lambda api, _: api.login(),
        [("authn_login_success", USER, ADDRESS)],
    ),
    "logout": (
        lambda api, tokens: api.logout(tokens["refreshToken"]),
        [(REVOKED, USER, ADDRESS)],
    ),
    "logout everywhere": (
        lambda api, tokens: api.logout_all(tokens["accessToken"]),
        [(REVOKED, USER, ADDRESS)],
    ),
    "one of mine": (_end_mine, [(REVOKED, USER, ADDRESS)]),
    "by a client": (_oauth_revoke, [(REVOKED, {"by": "client"}, ADDRESS)]),
    "reuse": (_refresh_spent, [("authn_token_reuse", SYSTEM, ADDRESS)]),
}


@pytest.mark.parametrize("case", HTTP)
async def test_what_comes_over_http_is_the_users_and_has_the_address(
    case: str, tmp_path: Path
) -> None:
    step, wanted = HTTP[case]
    async with local_api(settings_for(tmp_path, "memory"), ManualClock()) as api:
        tokens = await api.login()
        before = await api.engine.stores.audit.last()
        await step(api, tokens)
        assert [seen(event) for event in await events(api, before)] == wanted


async def test_a_new_sign_in_over_an_old_cookie_is_the_users(tmp_path: Path) -> None:
    async with local_api(settings_for(tmp_path, "memory"), ManualClock()) as api:
        body = {"username": "alice", "password": "correct horse battery staple 41"}
        for _ in range(2):
            await api.client.post(f"{BASE}/login", json=body | {"transport": "cookie"})
        ended = (await events(api, 0))[-1]
        assert seen(ended, of=("reason",)) == (
            REVOKED,
            {"reason": "signed in again", **USER},
            ADDRESS,
        )


async def test_what_an_app_does_is_the_apps_unless_it_says_who(tmp_path: Path) -> None:
    """Every verb that changes an account, a session, a client or the keys."""
    async with local_api(settings_for(tmp_path, "memory"), ManualClock()) as api:
        engine = api.engine
        for given in (None, By(Actor.USER, "192.0.2.7")):
            named: dict[str, Any] = {} if given is None else {"by": given}
            before = await engine.stores.audit.last()
            # A user does not get the name that another account has just let go.
            user = "bob" if given is None else "ben"
            bob = (await engine.accounts.register(user, PASSWORD, **named)).id
            await engine.sign_in.by_password(user, PASSWORD, OPTIONS)
            tokens = await engine.sign_in.by_password(user, PASSWORD, OPTIONS)
            ended = EndReason.ENDED_BY_APP
            await engine.sessions.end_one(tokens.session.id, ended, **named)
            await engine.sessions.end_all(bob, ended, **named)
            for verb in ("enable", "disable"):
                await engine.sign_in.by_password(user, PASSWORD, OPTIONS, address="")
                await getattr(engine.accounts, verb)(bob, **named)
            await engine.accounts.set_roles(bob, ["clerk"], **named)
            await engine.accounts.set_password(bob, OTHER_PASSWORD, **named)
            await engine.accounts.delete(bob, **named)
            name = "one" if given is None else "two"
            await engine.clients.add(name, confidential=True, **named)
            await engine.clients.rotate_secret(name, **named)
            await engine.clients.update(name, grace=0, **named)
            await engine.clients.disable(name, **named)
            await engine.clients.enable(name, **named)
            api.clock.advance(DAY)
            await engine.keys.rotate(**named)
            await engine.keys.retire(engine.keys.active.kid, **named)
            by = given or APP
            for event in await events(api, before):
                if event.type is not EventType.SIGN_IN:
                    wanted = {"by": str(by.actor)}
                    assert seen(event)[1:] == (wanted, by.address), event


async def test_what_watchword_does_by_itself_is_the_systems(tmp_path: Path) -> None:
    """First keys, their rotation when due, and what ends with a restored store."""
    async with local_api(settings_for(tmp_path, "memory"), ManualClock()) as api:
        api.clock.advance(KEY_ROTATION)
        await api.engine.keys.maintain()
        tokens = await api.login()
        newest = (await api.refresh(tokens["refreshToken"])).json()["refreshToken"]
        sessions: Any = api.engine.stores.sessions
        rows = sessions._memory.sessions
        (row,) = rows.values()
        rows[row.id] = msgspec.structs.replace(row, generation=0)
        await api.refresh(newest)
        found = [seen(event, of=("lost",)) for event in await events(api, 0)]
        assert found == [
            ("signing_key_updated", SYSTEM, ""),
            ("user_created", {"by": "app"}, ""),
            ("signing_key_updated", SYSTEM, ""),
            ("authn_login_success", USER, ADDRESS),
            ("authn_token_rewound", {"lost": 1, **SYSTEM}, ADDRESS),
        ]


COMMANDS: list[tuple[tuple[str, ...], str | None]] = [
    (("user", "add", "bob", "--password-stdin"), PASSWORD),
    (("user", "roles", "bob", "--role", "clerk"), None),
    (("user", "passwd", "bob", "--password-stdin"), OTHER_PASSWORD),
    (("user", "disable", "bob"), None),
    (("user", "enable", "bob"), None),
    (("sessions", "revoke", "--user", "bob"), None),
    (("user", "delete", "bob", "--yes"), None),
    (("user", "import", "-"), json.dumps({"username": "ann", "passwordHash": DJANGO})),
    (("clients", "add", "app", "--confidential"), None),
    (("clients", "rotate-secret", "app"), None),
    (("clients", "disable", "app"), None),
    (("clients", "enable", "app"), None),
    (("keys", "rotate"), None),
]


def test_every_command_that_changes_something_is_the_operators(
    terminal: Terminal,
) -> None:
    """With the name that the operating system has for who ran it."""
    # Keys of an hour ago: the next one may sign from now on.
    terminal.engine(lambda engine: engine.keys.refresh(), ago=3600)

    async def sign_in(engine: Any) -> None:
        await engine.sign_in.by_password("bob", OTHER_PASSWORD, OPTIONS)

    async def newest(engine: Any) -> Any:
        return await engine.stores.audit.last()

    kids = [row["kid"] for row in terminal.json("keys", "list")]
    for words, typed in [*COMMANDS, (("keys", "retire", "--", kids[0]), None)]:
        if words[0] == "sessions":
            terminal.engine(sign_in)
        last = terminal.engine(newest)
        terminal.run(*words, typed=typed)
        printed = terminal.run("audit", "--json", "--after", str(last)).stdout
        found = [json.loads(line) for line in printed.splitlines()]
        assert found, words
        wanted = {"by": "operator", "operator": common.operator().name}
        for event in found:
            assert wanted.items() <= event["detail"].items(), (words, event)


@pytest.mark.parametrize("fault", [KeyError, OSError, ImportError])
def test_an_operator_without_a_name_is_an_operator_all_the_same(
    fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as a number that no file has a name for."""

    def nameless(_: int) -> str:
        raise fault

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    assert common.operator().detail() == {"by": "operator"}


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_no_variable_says_who_the_operator_is(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be that of a colleague, or bytes that no store takes for text."""
    monkeypatch.setenv(variable, "\udcff by=user")
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert common.operator().detail() == {"by": "operator", "operator": name}
