"""What changes between the code and its tokens, and during the exchange.

A change ends the sessions that there are, and cannot end one that is about to be
written. So the exchange looks before it writes its session and afterwards, and a retry
looks too: the process that wrote the session may have died before it looked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.codes import APP, KEY, SCOPE, App, an_app, outcome
from tests.scenarios.api import PASSWORD
from watchword.accounts.rows import changed
from watchword.clients.rules import GrantType
from watchword.core.actor import Actor, By, EndReason
from watchword.core.policies import PAGES
from watchword.core.session import Session
from watchword.errors import InvalidCredentials
from watchword.factors.rows import demand_of
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.sessions import ById

USER: Final = By(Actor.USER, "192.0.2.1")
Change = Callable[[App], Awaitable[object]]


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with an_app(tmp_path) as made:
        await made.change(APP, trusted=False)
        client = await made.engine.clients.get(APP)
        await made.oauth.consents.remember(
            made.root.account_id, client, SCOPE, (), by=USER
        )
        yield made


async def _account(app: App, **given: Any) -> None:
    """The account is changed in its row alone: its sessions are not ended yet."""
    accounts = app.stores.accounts
    before = await accounts.by_id(app.root.account_id)
    epoch = before.epoch + 1
    assert await accounts.swap(before, changed(before, epoch=epoch, **given), Trail())


async def _disabled(app: App) -> None:
    await _account(app, disabled=True)


async def _password(app: App) -> None:
    await _account(app)


async def _deleted(app: App) -> None:
    del app.stores.accounts._memory.accounts[app.root.account_id]


async def _root_ended(app: App) -> None:
    await app.engine.sessions.end_one(app.root.id, EndReason.LOGOUT, by=USER)


async def _root_of_another(app: App) -> None:
    rows = app.stores.sessions._memory.sessions
    rows[app.root.id] = msgspec.structs.replace(app.root, account_id=b"o" * 16)


async def _root_lost(app: App) -> None:
    del app.stores.sessions._memory.sessions[app.root.id]


async def _consent(app: App) -> None:
    await app.stores.consents.drop(
        app.root.account_id, APP, (await app.stores.audit.read(0, 1))[0][1]
    )


async def _client_disabled(app: App) -> None:
    await app.change(APP, disabled=True)


async def _redirect_uri(app: App) -> None:
    await app.change(APP, redirect_uris=("https://app.example/elsewhere",))


async def _grant(app: App) -> None:
    await app.change(APP, grants=(GrantType.REFRESH_TOKEN,))


async def _factor_demanded(app: App) -> None:
    demand = demand_of(app.root.account_id, app.clock())
    await app.stores.credentials.add([demand], Trail())


CHANGES: dict[str, Change] = {
    "account disabled": _disabled,
    "password changed": _password,
    "account deleted": _deleted,
    "sign-in of the browser ended": _root_ended,
    "sign-in of another account": _root_of_another,
    "sign-in of the browser lost": _root_lost,
    "consent withdrawn": _consent,
    "client disabled": _client_disabled,
    "redirect URI taken from the client": _redirect_uri,
    "grant taken from the client": _grant,
    "second factor demanded": _factor_demanded,
}
EVERY_CHANGE = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def at_create(
    app: App, monkeypatch: pytest.MonkeyPatch, change: Change, *, after: bool
) -> None:
    """Let it happen while the session is written: just before that, or just after."""
    create = app.stores.sessions.create

    async def call(*given: Any, **named: Any) -> Any:
        if not after:
            await change(app)
        answer = await create(*given, **named)
        if after:
            await change(app)
        return answer

    monkeypatch.setattr(app.stores.sessions, "create", call)


@EVERY_CHANGE
async def test_a_change_before_the_exchange_refuses_the_code(
    app: App, change: Change
) -> None:
    code = await app.code()
    await change(app)
    # This process remembers its clients for a moment.
    app.clock.advance(2000)
    refused = outcome(await app.redeem(code))
    clients: dict[Change, str] = {}
    clients[_client_disabled] = "invalid_client"
    clients[_grant] = "unauthorized_client"
    assert refused == clients.get(change, "invalid_grant")
    assert await app.row(code) is None


@EVERY_CHANGE
@pytest.mark.parametrize("after", [False, True], ids=["before", "behind"])
async def test_a_change_during_the_exchange_takes_the_session_back(
    app: App, monkeypatch: pytest.MonkeyPatch, change: Change, *, after: bool
) -> None:
    code = await app.code()
    at_create(app, monkeypatch, change, after=after)
    assert outcome(await app.redeem(code)) == "invalid_grant"
    row = await app.row(code)
    assert row is not None
    # What ends the root finds the session, once it is there.
    found = after and change is _root_ended
    reason = EndReason.GROUP_ENDED if found else EndReason.TAKEN_BACK
    assert row.revoked_reason == reason


@EVERY_CHANGE
async def test_a_retry_looks_too(app: App, change: Change) -> None:
    """As if the process that made the session had died before it could look."""
    code = await app.code()
    assert outcome(await app.redeem(code)) == "ok"
    await change(app)
    assert outcome(await app.redeem(code)) == "invalid_grant"
    assert await app.alive() == []


async def test_a_retry_finds_a_session_that_has_outlived_the_sign_in(app: App) -> None:
    """As after its answer: by `offline_access`, or where the browser's has run out."""
    offline = (*SCOPE, "offline_access")
    client = await app.engine.clients.get(APP)
    await app.oauth.consents.remember(app.root.account_id, client, offline, (), by=USER)
    for scope, reason, expected in (
        (offline, EndReason.LOGOUT, "ok"),
        (offline, EndReason.SIGNED_IN_AGAIN, "ok"),
        (offline, EndReason.REUSE, "invalid_grant"),
        (SCOPE, EndReason.LOGOUT, "invalid_grant"),
        (SCOPE, None, "ok"),
    ):
        await app.sign_in()
        code = await app.code(scope=scope)
        event = Event(type=EventType.SESSION_REVOKED, at=app.clock())
        assert outcome(await app.redeem(code)) == "ok"
        if reason is None:
            rows, root = app.stores.sessions._memory.sessions, app.root
            ended = msgspec.structs.replace(root, idle_expires_at=app.clock())
            rows[root.id] = ended
        else:  # by a process that dies before it looks at the members
            await app.stores.sessions.end(ById(app.root.id), reason, event, 1)
        assert outcome(await app.redeem(code)) == expected, (scope, reason)
        row = await app.row(code)
        assert row is not None
        assert (row.revoked_at is None) == (expected == "ok")


async def test_roles_are_those_of_the_exchange(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are given while the session is written."""

    async def promote(_: App) -> None:
        await app.engine.accounts.set_roles(app.root.account_id, ["editor"], by=USER)

    code = await app.code()
    at_create(app, monkeypatch, promote, after=False)
    assert outcome(await app.redeem(code)) == "ok"
    row = await app.row(code)
    assert row is not None
    assert row.roles == ("editor",)


async def test_a_change_that_keeps_the_browser_refuses_a_code_on_its_way(
    app: App,
) -> None:
    """A password that is changed with `keepSession`: the browser asks once more."""
    code = await app.code()
    service = app.engine.self_service
    assert service is not None
    with pytest.raises(InvalidCredentials):
        await app.engine.sign_in.check_password("alice", PASSWORD + "!")
    await _password(app)
    assert outcome(await app.redeem(code)) == "invalid_grant"
    row: Session | None = await app.engine.sessions.get(app.root.id)
    assert row is not None
    assert (row.client_id, row.revoked_at) == (PAGES, None)
    assert outcome(await app.redeem(await app.code(), key=KEY)) == "ok"
