"""Groups: the sign-in of a browser is the root, what it lets in are its members.

the root ends    its members end with it; those with offline_access stay where the
user has signed out, or has signed in anew
a member ends    it alone
`but`            keeps the whole group
a crash between  another process ends the members that are left
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.codes import APP, HOME, OTHER_KEY, SHOP, App, an_app, outcome
from tests.groups import USER, Group
from tests.scenarios.api import PASSWORD, bearer
from watchword.bootstrap import Watchword, open_watchword
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.session import SessionOptions
from watchword.errors import StoreUnavailable
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Before, ById
from watchword.server.cookies import COOKIE
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE
from watchword.testing import ManualClock, SeededEntropy

STORES = pytest.mark.parametrize(
    "app", ["memory", "sqlite", "postgresql-16", "valkey-9"], indirect=True
)
ALL = {"root", "app", "shop", "offline"}
NONE: set[str] = set()
STAYS = {"offline"}


@pytest_asyncio.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with an_app(tmp_path, getattr(request, "param", "memory")) as made:
        await made.engine.accounts.register("bob", PASSWORD)
        yield made


# What ends a root: with it, and with the other groups of its account.


async def sign_out(group: Group, _: Group) -> None:
    await group.browser.end(group.cookie, by=USER)


async def log_out_of_an_app(group: Group, _: Group) -> None:
    """`/logout` by a cookie: the browser is told to wipe that of the root as well."""
    alone = await group.engine.sign_in.by_password(
        group.name, PASSWORD, SessionOptions(client_id="first-party", cookie=True)
    )
    cookies = (
        f"{COOKIE}={alone.refresh_token}",
        f"{SIGN_IN_COOKIE}={group.cookie}",
    )
    headers = {"cookie": "; ".join(cookies), "x-requested-with": "app"}
    client = group.app.api.client
    answer = await client.post("/api/auth/logout", headers=headers)
    assert "clear-site-data" in answer.headers, answer.text


async def end_in_the_list(group: Group, _: Group) -> None:
    await ended(group, EndReason.ENDED_BY_USER)


async def another_account_signs_in(group: Group, _: Group) -> None:
    await group.sign_in("bob")


async def sign_in_anew(group: Group, _: Group) -> None:
    assert (await group.sign_in()).id == group["root"].id


async def run_out(group: Group, _: Group) -> None:
    group.app.clock.advance(limits.SIGN_IN_IDLE + 1)
    await group.engine.sessions.groups.finish()


async def sign_in_when_it_has_run_out(group: Group, _: Group) -> None:
    group.app.clock.advance(limits.SIGN_IN_IDLE + 1)
    assert (await group.sign_in()).id != group["root"].id


async def show_a_cookie_of_long_ago(group: Group, _: Group) -> None:
    stolen = group.cookie
    await group.sign_in()
    group.app.clock.advance(limits.MINUTE)
    service = group.browser
    assert await service.session_of(stolen, address=HOME) is None


async def end_by_operator(group: Group, _: Group) -> None:
    selector = ById(group["root"].id)
    reason = EndReason.REVOKED_BY_OPERATOR
    assert await group.engine.sessions.revoke(selector, reason) == len(ALL)


async def end_what_began_before(group: Group, other: Group) -> None:
    """A member's sign-in may be later than its root's: it goes all the same."""
    instant = other["root"].authenticated_at + 1
    reason = EndReason.REVOKED_BY_OPERATOR
    await group.engine.sessions.revoke(Before(instant), reason)


async def take_back(group: Group, _: Group) -> None:
    await ended(group, EndReason.TAKEN_BACK)


async def everywhere(group: Group, _: Group) -> None:
    reason = EndReason.LOGOUT_EVERYWHERE
    await group.engine.sessions.end_all(group["root"].account_id, reason)


async def everywhere_but_a_member(group: Group, _: Group) -> None:
    account_id, reason = group["root"].account_id, EndReason.LOGOUT_EVERYWHERE
    but = group["app"].id
    await group.engine.sessions.end_all(account_id, reason, but=but)


async def factor_added_by_a_member(group: Group, _: Group) -> None:
    account_id, reason = group["root"].account_id, EndReason.FACTOR_ADDED
    but = group["app"].id
    await group.engine.sessions.end_weaker(account_id, reason, but=but)


async def password_changed_on_the_pages(group: Group, _: Group) -> None:
    await group.engine.second_factors.step_up.replace_password(
        group["root"].account_id,
        PASSWORD,
        f"{PASSWORD} more",
        keep_session=group["root"].id,
        address=HOME,
    )


async def disable_the_account(group: Group, _: Group) -> None:
    await group.engine.accounts.disable(group["root"].account_id)


async def reset_the_factors(group: Group, _: Group) -> None:
    factors = group.engine.second_factors.factors
    await factors.reset(group["root"].account_id, by=USER)


async def delete_the_account(group: Group, _: Group) -> None:
    await group.engine.accounts.delete(group["root"].account_id)


async def end_a_member(group: Group, _: Group) -> None:
    reason = EndReason.REVOKED_BY_CLIENT
    assert await group.engine.sessions.end_one(group["app"].id, reason) == 1


async def disable_a_client(group: Group, _: Group) -> None:
    await group.engine.clients.disable(APP)


async def ended(group: Group, reason: EndReason) -> None:
    await group.engine.sessions.end_one(group["root"].id, reason, by=USER)


Way = Callable[[Group, Group], Awaitable[None]]
WAYS: list[tuple[Way, set[str], set[str]]] = [
    (sign_out, STAYS, ALL),
    (log_out_of_an_app, STAYS, ALL),
    (end_in_the_list, STAYS, ALL),
    (another_account_signs_in, STAYS, ALL),
    (sign_in_anew, ALL, ALL),
    (sign_in_when_it_has_run_out, STAYS, ALL - {"root"}),
    (run_out, ALL - {"root"}, ALL - {"root"}),
    (show_a_cookie_of_long_ago, NONE, ALL),
    (end_by_operator, NONE, ALL),
    (end_what_began_before, NONE, NONE),
    (take_back, NONE, ALL),
    (everywhere, NONE, NONE),
    (everywhere_but_a_member, ALL, NONE),
    (factor_added_by_a_member, ALL, NONE),
    (end_a_member, ALL - {"app"}, ALL),
    (disable_a_client, {"root", "shop"}, {"root", "shop"}),
    (password_changed_on_the_pages, ALL, NONE),
    (reset_the_factors, NONE, NONE),
    (disable_the_account, NONE, NONE),
    (delete_the_account, NONE, NONE),
]
"""The way, and what is alive then: of its group, and of another one of the account."""


@STORES
async def test_what_ends_with_a_root_and_what_stays(app: App) -> None:
    for way, here, there in WAYS:
        name = way.__name__.replace("_", "-")
        await app.engine.accounts.register(name, PASSWORD)
        group, other = await Group(app, name).begin(), await Group(app, name).begin()
        await way(group, other)
        assert (await group.alive(), await other.alive()) == (here, there), name
        if way is disable_a_client:
            await app.engine.clients.enable(APP)


@STORES
async def test_what_a_dead_process_has_left_is_ended_by_another(app: App) -> None:
    """It dies between root and members: they end in every process that serves."""
    group, signed_out = await Group(app).begin(), await Group(app).begin()
    members = [group["app"], signed_out["app"]]
    for one, reason in (
        (group, EndReason.REUSE),
        (signed_out, EndReason.LOGOUT),
    ):
        event = Event(type=EventType.SESSION_REVOKED, at=app.clock())
        await app.stores.sessions.end(ById(one["root"].id), reason, event, 1)
    async with another_process(app) as other:
        # It starts after the crash, and finds the roots in the feed.
        await other.sessions.groups.finish()
        assert (await group.alive(), await signed_out.alive()) == (NONE, STAYS)
        assert [other.revocations.has_ended(one.sid) for one in members] == [True] * 2
    await app.engine.revocations.read()
    assert app.engine.revocations.has_ended(members[0].sid)


async def test_a_store_that_is_away_is_asked_again_for_what_was_left(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, group = app.engine.sessions.groups, await Group(app).begin()
    event = Event(type=EventType.SESSION_REVOKED, at=app.clock())
    root, sessions = group["root"], app.stores.sessions
    await sessions.end(ById(root.id), EndReason.REUSE, event, 1)
    await app.engine.revocations.read()

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable

    for verb in ("load", "list", "end"):
        with monkeypatch.context() as patched:
            patched.setattr(sessions, verb, away)
            with pytest.raises(StoreUnavailable):
                await groups.finish()
    assert await group.alive() == ALL - {"root"}
    await groups.finish()
    assert await group.alive() == NONE


async def test_a_code_on_its_way_makes_no_session_after_the_sign_out(app: App) -> None:
    """Its root ends before it is redeemed, or while its session is being written."""
    group = await Group(app).begin()
    app.root = group["root"]
    early, late = await app.code(), await app.code()
    create = app.stores.sessions.create

    async def signed_out_meanwhile(*given: object, **named: object) -> object:
        made = await create(*given, **named)
        await sign_out(group, group)
        return made

    app.stores.sessions.create = signed_out_meanwhile
    assert outcome(await app.redeem(late)) == "invalid_grant"
    app.stores.sessions.create = create
    row = await app.row(late)
    assert row is not None
    assert row.revoked_at is not None
    assert outcome(await app.redeem(early)) == "invalid_grant"
    assert await app.row(early) is None


@STORES
async def test_of_codes_and_a_sign_out_at_the_same_time_no_session_is_left(
    app: App,
) -> None:
    """Whichever comes second sees the first."""
    for _ in range(4):
        group = await Group(app).begin()
        app.root = group["root"]
        codes = [await app.code() for _ in range(6)]
        await asyncio.gather(
            *map(app.redeem, codes[:3]),
            sign_out(group, group),
            *map(app.redeem, codes[3:]),
        )
        rows = [await app.row(code) for code in codes]
        assert not [row for row in rows if row and row.revoked_at is None]
        assert await group.alive() == STAYS


async def test_the_list_says_what_ends_with_a_browser(app: App) -> None:
    """And ending the browser there ends it."""
    group = await Group(app).begin()
    token = (await app.api.login())["accessToken"]
    listed = await app.api.client.get("/api/auth/sessions", headers=bearer(token))
    ids = {row.sid: name for name, row in group}
    found = {
        ids[one["id"]]: (one["clientId"], ids.get(one["startedFrom"]))
        for one in listed.json()["sessions"]
        if one["id"] in ids
    }
    assert found == {
        "root": ("_pages", None),
        "app": (APP, "root"),
        "shop": (SHOP, "root"),
        "offline": (APP, "root"),
    }
    place = f"/api/auth/sessions/{group['root'].sid}"
    ended = await app.api.client.delete(place, headers=bearer(token))
    assert ended.status_code == 204
    assert await group.alive() == STAYS


async def test_a_client_has_eight_sessions_in_a_group_and_the_stalest_ends(
    app: App,
) -> None:
    """By parallel codes too; sessions of other clients and groups do not count."""
    group, other = await Group(app).begin(), await Group(app).begin()
    app.root = group["root"]
    for row in (group["app"], group["offline"]):
        await app.engine.sessions.end_one(row.id, EndReason.REVOKED_BY_CLIENT)
    codes, tokens = [], []
    for _ in range(limits.MEMBERS_MAX):
        app.clock.advance(limits.SECOND)
        codes.append(await app.code())
        answer = await app.redeem(codes[-1])
        tokens.append(answer.json()["refresh_token"])
    app.clock.advance(limits.SECOND)
    assert outcome(await app.refresh(tokens[0], OTHER_KEY)) == "ok"
    more = [await app.code() for _ in range(2)]
    await asyncio.gather(*(app.redeem(code) for code in more))
    rows = [await app.row(code) for code in (*codes, *more)]
    reasons = [row and row.revoked_reason for row in rows]
    gone = [EndReason.MEMBERS_MAX] * 2
    assert reasons == [None, *gone, *[None] * (limits.MEMBERS_MAX - 1)]
    assert await group.alive() == {"root", "shop"}
    assert await other.alive() == ALL


async def test_an_exchange_costs_the_same_however_many_sessions_there_were(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may ask for codes without end, and each leaves a row of an account."""
    for limit in ("LIST_LOOK_FEW", "LIST_LOOK"):
        monkeypatch.setattr(limits, limit, limits.MEMBERS_MAX)
    sessions: Any = app.stores.sessions
    pages = []
    looked = sessions.list

    async def counted(*given: Any, **more: Any) -> Any:
        pages.append(more)
        return await looked(*given, **more)

    monkeypatch.setattr(sessions, "list", counted)
    codes = [await app.code() for _ in range(4 * limits.MEMBERS_MAX)]
    for code in codes:
        assert (await app.redeem(code)).status_code == 200
    assert 0 < len(pages) <= 2 * len(codes)


async def test_a_group_counts_as_one_session(tmp_path: Path) -> None:
    """A member takes no room, and the group that was refreshed longest ago ends."""
    async with an_app(tmp_path, sessions_max=3) as app:
        await app.engine.accounts.register("bob", PASSWORD)

        async def another() -> Group:
            app.clock.advance(limits.SECOND)
            return await Group(app, "bob").begin()

        one, two, three = [await another() for _ in range(3)]
        assert await one.alive() == await two.alive() == ALL
        app.clock.advance(limits.SECOND)
        app.root = one["root"]
        assert outcome(await app.redeem(await app.code())) == "ok"
        four = await another()
        groups = (one, two, three, four)
        assert [await each.alive() for each in groups] == [ALL, NONE, ALL, ALL]
        await sign_in_anew(three, one)  # prompt=login: it needs no room
        assert [await each.alive() for each in groups] == [ALL, NONE, ALL, ALL]


async def test_what_is_left_of_a_group_counts_where_the_browser_signs_in_anew(
    tmp_path: Path,
) -> None:
    """Otherwise a user would have one more than there may be, from the second day."""
    async with an_app(tmp_path, sessions_max=2) as app:
        here, there = await Group(app).begin(), await Group(app).begin()
        app.clock.advance(limits.SIGN_IN_IDLE + 1)
        for one in (here, there):
            await one.sign_in()
            page = await app.engine.sessions.page(None)
            assert len({row.group for row in page.sessions}) == 2


def another_process(app: App) -> AbstractAsyncContextManager[Watchword]:
    """An engine on the same stores; those in memory are shared as they are."""
    in_memory = app.engine.settings.database_url.startswith("memory")
    return open_watchword(
        app.engine.settings,
        stores=app.stores if in_memory else None,
        clock=app.clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy("another"),
        hashing=INSECURE_FOR_TESTS,
        background=False,
    )
