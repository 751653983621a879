"""Sessions, invitations, events and figures, by the admin API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.mail.mailbox import Mailbox
from tests.scenarios.api import PASSWORD, LocalApi, local_api, settings_for
from tests.server.operators import Operator, client_of, details, user_of, verdict
from watchword.core.limits import DAY, HOUR, INVITATION_LIFE, MINUTE
from watchword.ports.audit import EventType
from watchword.ports.stats import Stat
from watchword.testing import ManualClock

ANN: Final = "ann@example.org"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    settings = settings_for(tmp_path, "memory", registration="invited")
    local = settings.model_copy(update={"issuer": "http://127.0.0.1:8000"})
    async with local_api(local, clock) as opened:
        alice = await opened.id_of("alice")
        await opened.engine.accounts.set_roles(alice, ["admin"])
        await opened.engine.accounts.register("bob", PASSWORD)
        yield opened


@pytest_asyncio.fixture
async def user(api: LocalApi) -> Operator:
    return await user_of(api)


async def walked(user: Operator, path: str) -> list[Any]:
    """All items of a list, a few at a time."""
    found: list[Any] = []
    page: Any = {"next": ""}
    while page["next"] is not None:
        after = f"&after={page['next']}" if page["next"] else ""
        page = await user.get(f"{path}{'&' if '?' in path else '?'}limit=2{after}")
        assert len(page["items"]) <= 2
        found += page["items"]
    return found


async def subject(api: LocalApi, name: str) -> str:
    return (await api.engine.accounts.get(name)).subject


# Sessions


async def test_sessions_come_newest_first_of_an_account_or_a_client(
    api: LocalApi, user: Operator, clock: ManualClock
) -> None:
    await api.engine.clients.add("app", confidential=False, scope=["read"])
    bobs: list[str] = []
    for client in ("first-party", "app", "app"):
        clock.advance(1000)
        body = {"username": "bob", "password": PASSWORD, "clientId": client}
        answer = await api.client.post("/api/auth/login", json=body)
        bobs.insert(0, answer.json()["sessionId"])
    bob = await subject(api, "bob")
    everything = await walked(user, "/sessions")
    assert [one["id"] for one in everything][:3] == bobs
    assert len(everything) == 4
    assert await walked(user, f"/sessions?account={bob}") == everything[:3]
    assert await walked(user, f"/accounts/{bob}/sessions") == everything[:3]
    assert await walked(user, "/sessions?client=app") == everything[:2]
    assert everything[0] == {
        "id": bobs[0],
        "account": bob,
        "clientId": "app",
        "scope": "read",
        "acr": "aal1",
        "amr": ["pwd"],
        "bound": False,
        "cookie": False,
        "signedInAt": "2027-01-15T08:00:03Z",
        "lastRefreshAt": "2027-01-15T08:00:03Z",
        "expiresAt": "2027-01-22T08:00:03Z",
        "refreshes": 0,
        "address": "127.0.0.1",
        "userAgent": everything[0]["userAgent"],
        "startedFrom": None,
    }
    cursor = (await user.get(f"/sessions?account={bob}&limit=1"))["next"]
    for wrong in (f"after={cursor}", "account=bob", "client=a%00b", "limit=1000"):
        answer = await user.call("GET", f"/sessions?{wrong}")
        assert verdict(answer) == "400 invalid_request", wrong


async def test_a_session_is_ended_and_all_that_are_older(
    api: LocalApi, user: Operator, clock: ManualClock
) -> None:
    robot = await client_of(api, "admin:write")
    first, second = await api.login("bob"), await api.login("bob")
    for caller, tokens, by in (
        (user, first, {"by": "admin", "operator": await subject(api, "alice")}),
        (robot, second, {"by": "client", "operator": "robot"}),
    ):
        path = f"/sessions/{tokens['sessionId']}"
        for _ in range(2):  # one that has ended already is no error
            assert (await caller.call("DELETE", path)).status_code == 204
        told = await details(api, EventType.SESSION_REVOKED)
        assert told[0] == {"reason": "revoked by operator", **by}
        ended = await api.secure(tokens["accessToken"])
        assert verdict(ended) == "401 token_revoked"
    assert len(await details(api, EventType.SESSION_REVOKED)) == 2
    old = await api.login("bob")
    clock.advance(5000)
    new = await user_of(api)
    for wrong in ("2027-01-15T08:00:04", "now", 5):
        answer = await new.post("/sessions/end-before", {"before": wrong})
        assert verdict(answer) == "400 invalid_request"
    answer = await new.post(
        "/sessions/end-before", {"before": "2027-01-15T09:00:04+01:00"}
    )
    assert answer.json() == {"revoked": 2}
    assert verdict(await api.secure(old["accessToken"])) == "401 token_revoked"
    assert verdict(await user.call("GET", "/sessions")) == "401 token_revoked"
    assert len((await new.get("/sessions"))["items"]) == 1


# Invitations


async def test_an_invitation_is_listed_until_it_is_accepted_withdrawn_or_over(
    api: LocalApi, user: Operator, clock: ManualClock
) -> None:
    made: list[Any] = []
    for number in range(4):
        clock.advance(1000)
        body = {"email": f"ann-{number}@x.example", "roles": ["a"]}
        answer = await user.post("/invitations", body)
        assert answer.status_code == 201
        made.insert(0, answer.json())
    listed = await walked(user, "/invitations")
    assert [{**one, "id": ""} for one in listed] == [{**one, "id": ""} for one in made]
    assert made[0] == {
        "id": made[0]["id"],
        "email": "ann-3@x.example",
        "roles": ["a"],
        "createdAt": "2027-01-15T08:00:04Z",
        "expiresAt": "2027-01-22T08:00:04Z",
    }
    for wrong in ({"email": "x"}, {"email": ANN, "roles": ["a b"]}, {}):
        assert (await user.post("/invitations", wrong)).status_code == 400
    clock.advance(INVITATION_LIFE - 2000)
    user = await user_of(api)
    assert len((await user.get("/invitations"))["items"]) == 2
    assert (await user.get("/invitations"))["items"][0]["email"] == made[0]["email"]


async def test_the_link_of_a_withdrawn_invitation_is_of_no_use(
    api: LocalApi, user: Operator
) -> None:
    """Its id is sealed, and is nothing that a link or a store has."""
    for email in (ANN, "late@x.example"):
        await user.post("/invitations", {"email": email})
        if email == ANN:
            await sent(api)
    token = Mailbox(api.engine.settings.data).token_to(ANN)
    cursor = (await user.get("/invitations?limit=1"))["next"]
    rows = await api.engine.stores.confirmations.invitations(limit=9)
    for wrong in (token, cursor, rows[0].token_hash.hex(), "x", "ww_cu_"):
        answer = await user.call("DELETE", f"/invitations/{wrong}")
        assert verdict(answer) == "404 not_found"
    for invitation in (await user.get("/invitations"))["items"]:
        path = f"/invitations/{invitation['id']}"
        assert (await user.call("DELETE", path)).status_code == 204
        assert verdict(await user.call("DELETE", path)) == "404 not_found"
    told = await details(api, EventType.INVITATION_WITHDRAWN)
    alice = await subject(api, "alice")
    assert told == [{"by": "admin", "operator": alice}] * 2
    assert (await user.get("/invitations"))["items"] == []
    body = {"token": token, "password": PASSWORD}
    answer = await api.client.post("/api/auth/invitations/accept", json=body)
    assert verdict(answer) == "400 confirmation_invalid"
    assert await sent(api) == 1  # the one that waited is not sent any more


async def sent(api: LocalApi) -> int:
    """How many mails were sent so far."""
    sender = api.engine.mail
    assert sender is not None
    await sender.send_due()
    await sender.close()
    return len(list(api.engine.settings.outbox_folder.glob("*.eml")))


# Events


async def test_events_are_found_by_type_topic_user_session_address_and_time(
    api: LocalApi, user: Operator, clock: ManualClock
) -> None:
    clock.advance(10_000)
    bob = await subject(api, "bob")
    tokens = await api.at("192.0.2.7").login("bob")
    await api.at("192.0.2.7").try_login("bob", "wrong password 41")
    clock.advance(10_000)
    await api.logout(tokens["refreshToken"])
    everything = await walked(user, "/events")
    numbers = [one["sequence"] for one in everything]
    assert numbers == sorted(set(numbers), reverse=True)
    assert everything[0] == {
        "sequence": numbers[0],
        "at": "2027-01-15T08:00:20Z",
        "type": "authn_token_revoked",
        "topics": ["session.ended"],
        "account": bob,
        "session": tokens["sessionId"],
        "clientId": None,
        "address": "127.0.0.1",
        "detail": {"by": "user", "reason": "logout"},
    }
    session = tokens["sessionId"]
    ended, failed, begun = everything[:3]
    found = {
        "type=authn_login_fail": [failed],
        "type=session.ended": [ended],
        "type=session.*": [ended, begun, everything[3]],
        f"type=sign_in.*&account={bob}": [failed, begun],
        f"session={session}": [ended, begun],
        "address=192.0.2.7": [failed, begun],
        "from=2027-01-15T08:00:10Z&to=2027-01-15T08:00:20": [failed, begun],
        "from=2027-01-15T09:00:20%2B01:00": [ended],
        "to=1970-01-01": [],
    }
    for query, items in found.items():
        assert await walked(user, f"/events?{query}") == items, query
    of_bob = await walked(user, f"/accounts/{bob}/events?type=sign_in.*")
    assert of_bob == [failed, begun]
    cursor = (await user.get(f"/events?limit=1&session={session}"))["next"]
    for wrong in (
        *("type=x", "type=session", "account=bob", "session=x", "from=x", "to=%00"),
        *("address=%00", f"address={'1' * 65}", f"after={cursor}", "from=9999999"),
    ):
        answer = await user.call("GET", f"/events?{wrong}")
        assert verdict(answer) == "400 invalid_request", wrong


# Figures


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgresql-16"])
async def test_figures_are_summed_by_steps_and_levels_are_not(
    tmp_path: Path, clock: ManualClock, store: str
) -> None:
    clock.advance(30 * MINUTE + 30_000)
    minute = clock() // MINUTE * MINUTE
    counts = [
        Stat(minute - ago, "sign_ins", "success", 1)
        for ago in (MINUTE, 2 * MINUTE, HOUR, 23 * HOUR, 3 * DAY, 9 * DAY)
    ]
    levels = [
        Stat(minute - ago, "sessions_live", "", n)
        for ago, n in ((MINUTE, 5), (2 * MINUTE, 7), (HOUR, 9))
    ]
    async with local_api(settings_for(tmp_path, store), clock) as api:
        await api.engine.accounts.set_roles(await api.id_of("alice"), ["admin"])
        await api.engine.stores.stats.add(counts, levels)
        user = await user_of(api)
        for span, steps, step, total, level in (
            ("1h", 60, 60, 3, 5),
            ("24h", 24, 3600, 4, 7),
            ("8d", 48, 14_400, 5, 7),
        ):
            stats = await user.get(f"/stats?range={span}")
            assert stats["step"] == step
            live, ins = stats["series"]
            assert len(ins["values"]) == len(live["values"]) == steps
            assert [live.pop("values")[-1], sum(ins.pop("values"))] == [level, total]
            assert live == {"name": "sessions_live", "labels": "", "level": True}
            assert ins == {"name": "sign_ins", "labels": "success", "level": False}
            overview = await user.get(f"/overview?range={span}")
            assert overview == {
                "since": stats["since"],
                "totals": [{**live, "total": level}, {**ins, "total": total}],
            }
        assert (await user.get("/stats"))["step"] == 3600
        for wrong in ("1d", "", "8"):
            answer = await user.call("GET", f"/stats?range={wrong}")
            assert verdict(answer) == "400 invalid_request"
