"""What operators do by the admin API with clients, keys, mail, webhooks; and health."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import LocalApi, local_api, settings_for
from tests.server.operators import client_of, details, user_of, verdict
from watchword.admin import health
from watchword.config import Settings
from watchword.core import limits
from watchword.core.session import time_ordered_id
from watchword.errors import StoreUnavailable
from watchword.mail.message import Mail, MailPurpose, seal_mail
from watchword.ports.audit import Event, EventType
from watchword.ports.outbox import Lane
from watchword.ports.stats import Stat
from watchword.ports.webhooks import Delivery
from watchword.server.endpoints.admin import ENDPOINTS
from watchword.testing import ManualClock, SeededEntropy

ADMIN: Final = "/api/admin"
WEB: Final = "https://app.example/cb"


@contextlib.asynccontextmanager
async def serving(settings: Settings, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(settings, clock) as opened:
        alice = await opened.id_of("alice")
        await opened.engine.accounts.set_roles(alice, ["admin"])
        yield opened


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with serving(settings_for(tmp_path, "memory"), clock) as opened:
        yield opened


async def test_a_mistyped_member_is_refused(api: LocalApi) -> None:
    """Otherwise a change would answer 200 and change nothing."""
    bodies = [one.request for one in ENDPOINTS if one.request is not None]
    assert len(bodies) == 9
    assert all(one.__struct_config__.forbid_unknown_fields for one in bodies)
    user = await user_of(api)
    wrong = {"clientId": "shop", "redirectUri": [WEB]}
    answer = await user.post("/clients", wrong)
    assert verdict(answer) == "400 invalid_request"
    assert "redirectUri" in answer.json()["detail"]


# Clients


async def test_a_client_from_its_making_to_its_end(api: LocalApi) -> None:
    """Its secret is shown where it is made and nowhere else.

    The version of each answer is what the next change needs.
    """
    user = await user_of(api)
    asked = {
        "clientId": "shop",
        "confidential": True,
        "name": "Shop",
        "redirectUris": [WEB],
        "scope": ["read"],
        "accessTtl": 60,
        "rights": ["introspect"],
    }
    answer = await user.post("/clients", asked)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["etag"] == '"0"'
    secret = made.pop("clientSecret")
    assert secret.startswith("ww_cs_")
    assert made == asked | {
        "version": 0,
        "disabled": False,
        "builtIn": False,
        "grants": ["authorization_code", "refresh_token"],
        "audience": [],
        "grace": 10,
        "dpop": False,
        "checksDpop": False,
        "postLogoutRedirectUris": [],
        "idTokenAlg": "RS256",
        "trusted": False,
        "pkce": True,
        "par": False,
        "createdAt": "2027-01-15T08:00:00Z",
    }
    assert await user.get("/clients") == {"items": [made], "next": None}
    assert verdict(await user.post("/clients", asked)) == "409 name_taken"
    body = {"redirectUris": [], "name": "", "grace": 0}
    for version, expected in (
        (None, "428 version_required"),
        (7, "412 version_changed"),
    ):
        answer = await user.call("PATCH", "/clients/shop", body, version)
        assert verdict(answer) == expected
    answer = await user.call("PATCH", "/clients/shop", body, 0)
    assert answer.json() == made | body | {"version": 1, "grants": ["refresh_token"]}
    assert answer.headers["etag"] == '"1"'
    assert verdict(await user.call("PATCH", "/clients/shop", {}, 0)) == (
        "412 version_changed"
    )
    answer = await user.post("/clients/shop/rotate-secret", version=1)
    again = answer.json()
    assert list(again) == ["clientId", "clientSecret"]
    assert again["clientSecret"] not in {secret, ""}
    answer = await user.post("/clients/shop/disable", version=2)
    assert answer.json()["disabled"] is True
    assert (answer.json()["version"], answer.json()["revoked"]) == (3, 0)
    answer = await user.post("/clients/shop/enable", version="*")
    assert answer.json()["version"] == 4
    assert await user.get("/clients/shop") == answer.json()
    changed = await details(api, EventType.CLIENT_CHANGED)
    assert [one["change"] for one in changed] == [
        *("enabled", "disabled", "secret"),
        "grace name redirect_uris",
    ]
    alice = (await api.engine.accounts.get("alice")).subject
    assert {(one["by"], one["operator"]) for one in changed} == {("admin", alice)}


async def test_clients_are_found_by_the_beginning_of_their_id(api: LocalApi) -> None:
    user = await user_of(api)
    for name in ("a", "ab", "ab-1", "ab-2", "abc", "b"):
        await api.engine.clients.add(name, confidential=False)
    found, after = [], ""
    while True:
        page = await user.get(f"/clients?q=ab&limit=2{after}")
        found.append([one["clientId"] for one in page["items"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
        other = await user.call("GET", f"/clients?q=a{after}")
        assert verdict(other) == "400 invalid_request"
    assert found == [["ab", "ab-1"], ["ab-2", "abc"]]
    for q in ("%00", "x" * 600, "é", "first-party", "_pages"):
        assert (await user.get(f"/clients?q={q}"))["items"] == []
    assert (await user.get("/clients/first-party"))["builtIn"] is True


async def test_a_client_that_administers_others_stays_below_its_own_kind(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives and takes no right, and touches no client that administers, nor itself.

    It cannot have the secret of a client with any right. A user can do all of that.
    """
    robot, user = await client_of(api, "admin:write"), await user_of(api)
    for name, rights in (("plain", []), ("peer", ["admin:read"]), ("api", ["feed"])):
        await api.engine.clients.add(name, confidential=True, rights=rights)
    new = {"clientId": "new", "confidential": True}
    refused = "403 insufficient_role"
    table = [
        ("POST", "", new | {"rights": ["feed"]}, refused),
        ("POST", "", new, "201 ok"),
        ("PATCH", "/plain", {"rights": ["feed"]}, refused),
        ("PATCH", "/plain", {"name": "Plain"}, "200 ok"),
        ("PATCH", "/api", {"rights": []}, refused),
        ("PATCH", "/api", {"name": "Api"}, "200 ok"),
        ("PATCH", "/peer", {"name": "Peer"}, refused),
        ("POST", "/plain/rotate-secret", None, "200 ok"),
        *[
            ("POST", f"/{name}/rotate-secret", None, refused)
            for name in ("api", "peer", "robot")
        ],
        *[
            ("POST", f"/{name}/{verb}", None, said)
            for name, said in (("peer", refused), ("robot", refused), ("api", "200 ok"))
            for verb in ("disable", "enable")
        ],
    ]
    for method, path, body, expected in table:
        answer = await robot.call(method, f"/clients{path}", body, "*")
        assert (path, body, verdict(answer)) == (path, body, expected)
    (made,) = [
        one
        for one in await details(api, EventType.CLIENT_CHANGED)
        if one["change"] == "secret"
    ]
    assert (made["by"], made["operator"]) == ("client", "robot")
    answer = await user.call("PATCH", "/clients/new", {"rights": ["admin:read"]}, 0)
    assert answer.json()["rights"] == ["admin:read"]
    assert (await details(api, EventType.CLIENT_CHANGED))[0]["rights"] == "admin:read"
    # What was looked at has to be what is written.
    stale = await robot.call("PATCH", "/clients/plain", {"name": "x"}, 0)
    assert verdict(stale) == "412 version_changed"
    store: Any = api.engine.stores.clients
    swap = store.swap
    changes: list[dict[str, Any]] = []

    async def late(*given: Any) -> Any:
        monkeypatch.undo()
        await api.engine.clients.update("plain", **changes.pop())
        return await swap(*given)

    # Where any version will do, the row is looked at again.
    for change, expected in (
        ({"name": "Meanwhile"}, "200 ok"),
        ({"add_rights": ["admin:read"]}, refused),
    ):
        changes.append(change)
        monkeypatch.setattr(store, "swap", late)
        raced = await robot.call("PATCH", "/clients/plain", {"name": "x"}, "*")
        assert verdict(raced) == expected


# Keys


async def test_keys_are_shown_rotated_and_retired(api: LocalApi) -> None:
    """A rotation waits until verifiers know the next key; one that leaked goes at once.

    No answer has more of a key than its id.
    """
    user = await user_of(api)
    first = await user.get("/keys")
    now = "2027-01-15T08:00:00Z"
    upcoming, active = first["items"]
    common = {"use": "access", "alg": "ES256", "since": now}
    assert upcoming == common | {"kid": upcoming["kid"], "state": "next", "until": None}
    assert active == common | {
        "kid": active["kid"],
        "state": "active",
        "until": "2027-02-14T08:00:00Z",
    }
    assert verdict(await user.post("/keys/rotate")) == "409 key_not_ready"
    answer = await user.post("/keys/rotate", {"use": "id RS256"})
    assert verdict(answer) == "404 not_found"
    api.clock.advance(limits.JWKS_MAX_AGE)
    user = await user_of(api)
    answer = await user.post("/keys/rotate", {})
    assert answer.json() == {"active": upcoming["kid"]}
    states = {one["kid"]: one["state"] for one in (await user.get("/keys"))["items"]}
    assert states[active["kid"]] == "retired"
    assert states[upcoming["kid"]] == "active"
    user = await user_of(api)
    answer = await user.post(f"/keys/{upcoming['kid']}/retire")
    assert (answer.status_code, answer.content) == (204, b"")
    gone = await user.call("GET", "/keys")
    assert verdict(gone) == "401 token_invalid"
    user = await user_of(api)
    assert verdict(await user.post("/keys/nothing/retire")) == "404 not_found"
    assert (await details(api, EventType.KEY_CHANGED))[0]["by"] == "admin"


# Webhooks


async def test_a_webhook_is_a_users_to_change_and_a_clients_to_look_at(
    api: LocalApi,
) -> None:
    """Its secret is shown where it is made and replaced, and nowhere else."""
    user, robot = await user_of(api), await client_of(api, "admin:write")
    asked = {"url": "https://hooks.example.org/watch", "topics": ["session.*"]}
    answer = await user.post("/webhooks", asked)
    assert answer.status_code == 201
    made = answer.json()
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made.pop("publicKey").startswith("whpk_")
    at = f"/webhooks/{made['id']}"
    assert made == asked | {
        "id": made["id"],
        "version": 0,
        "disabled": False,
        "allowPrivate": False,
        "failingSince": None,
        "waiting": 0,
        "waitingSince": None,
        "createdAt": "2027-01-15T08:00:00Z",
    }
    private = {"url": "http://127.0.0.1/", "topics": []}
    unknown = asked | {"topics": ["weather.*"]}
    for body in (private, unknown, {"url": "https://user:pw@hooks.example.org/"}):
        assert verdict(await user.post("/webhooks", body)) == "400 invalid_request"
    for method, path in (
        *(("POST", "/webhooks"), ("DELETE", at), ("POST", f"{at}/rotate-secret")),
        *(("POST", f"{at}/{verb}") for verb in ("disable", "enable", "retry")),
    ):
        answer = await robot.call(method, path, asked, "*")
        assert (path, verdict(answer)) == (path, "403 insufficient_role")
    shown = await robot.get("/webhooks")
    assert secret not in json.dumps(shown)
    assert [one["id"] for one in shown["items"]] == [made["id"]]
    answer = await user.post(f"{at}/rotate-secret", version=0)
    again = answer.json()
    assert list(again) == ["id", "secret", "publicKey"]
    assert again["secret"] != secret
    stale = await user.post(f"{at}/disable", version=0)
    assert verdict(stale) == "412 version_changed"
    answer = await user.post(f"{at}/disable", version=1)
    assert (answer.json()["disabled"], answer.headers["etag"]) == (True, '"2"')
    answer = await user.post(f"{at}/enable", version=2)
    assert answer.json()["disabled"] is False
    assert (await user.post(f"{at}/retry")).json() == {"hurried": 0}
    assert verdict(await user.call("DELETE", at)) == "428 version_required"
    assert (await user.call("DELETE", at, version=3)).status_code == 204
    for path in (at, f"{at}/deliveries", "/webhooks/nothing"):
        assert verdict(await user.call("GET", path)) == "404 not_found"


async def test_deliveries_are_listed_the_newest_first(api: LocalApi) -> None:
    user = await user_of(api)
    made = (await user.post("/webhooks", {"url": "https://h.example/"})).json()
    webhook_id = bytes.fromhex(made["id"].replace("-", ""))
    stores, now = api.engine.stores, api.clock()
    waits = [
        Delivery(
            id=time_ordered_id(now + number, bytes(10)),
            webhook_id=webhook_id,
            topic="session.ended",
            body="{}",
            created_at=now,
            not_before=now + limits.SECOND,
        )
        for number in range(3)
    ]
    (row,) = await stores.webhooks.all()
    at = row.handed_over
    assert await stores.deliveries.hand_over(webhook_id, at, at, waits)
    failed = {"attempts": 1, "tried_at": now, "status": 502, "answer": "<b>no</b>"}
    await stores.deliveries.settle(msgspec.structs.replace(waits[2], **failed))
    path = f"/webhooks/{made['id']}/deliveries?limit=2"
    page = await user.get(path)
    assert page["items"][0] == {
        "id": f"msg_{waits[2].id.hex()}",
        "topic": "session.ended",
        "state": "waiting",
        "attempts": 1,
        "status": 502,
        "answer": "<b>no</b>",
        "createdAt": "2027-01-15T08:00:00Z",
        "triedAt": "2027-01-15T08:00:00Z",
        "nextAt": "2027-01-15T08:00:01Z",
    }
    following = await user.get(f"{path}&after={page['next']}")
    ids = [one["id"] for one in (*page["items"], *following["items"])]
    assert ids == [f"msg_{one.id.hex()}" for one in reversed(waits)]
    assert following["next"] is None


# Mail and health


async def test_mail_is_shown_without_address_or_body(api: LocalApi) -> None:
    """A row of the outbox is not opened; what was given up says why."""
    user = await user_of(api)
    stores, now = api.engine.stores, api.clock()
    rows = []
    for number, lane in enumerate((Lane.CONFIRMED, Lane.UNKNOWN)):
        mail = Mail(
            purpose=MailPurpose.RESET,
            at=now + number,
            to="ann@example.org",
            token="ww_cf_token",
            account_id=await api.id_of("alice") if number == 0 else None,
        )
        sealing, entropy = api.engine.outbox_sealing, SeededEntropy("mails")
        rows.append(seal_mail(mail, sealing, entropy, lane=lane, network="192.0.2.1"))
    await stores.outbox.add(rows)
    await stores.outbox.postpone(rows[0].id, now + limits.MINUTE, 3)
    failed = {"message": "ab", "purpose": "reset", "reason": "no answer in time"}
    await stores.audit.record(Event(type=EventType.MAIL_FAILED, at=now, detail=failed))
    before = now - limits.HOUR
    counts = [Stat(before, "mail", "sent", 7), Stat(before, "mail", "given_up", 1)]
    await stores.stats.add(counts, [])
    shown = await user.get("/mail?limit=1")
    following = shown.pop("next")
    alice = (await api.engine.accounts.get("alice")).subject
    at = "2027-01-15T08:00:00Z"
    assert shown == {
        "server": None,
        "sender": "no-reply@auth.example",
        "waiting": 2,
        "waitingSince": at,
        "sent": 7,
        "givenUp": 1,
        "failures": [
            {
                "id": "ab",
                "at": at,
                "account": None,
                "purpose": "reset",
                "reason": "no answer in time",
            }
        ],
        "items": [
            {
                "id": rows[0].id.hex(),
                "lane": "confirmed",
                "account": alice,
                "network": "192.0.2.1",
                "attempts": 3,
                "createdAt": at,
                "nextAt": "2027-01-15T08:01:00Z",
            }
        ],
    }
    page = await user.get(f"/mail?after={following}")
    assert [one["id"] for one in page["items"]] == [rows[1].id.hex()]
    assert page["next"] is None
    assert verdict(await user.post("/mail/test", {"to": "a@b.example"})) == (
        "404 not_found"
    )


async def test_a_test_mail_says_what_the_mail_server_did(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Few in a minute, so that no right is enough to flood a mailbox."""
    local = {"issuer": "http://127.0.0.1:8000"}
    settings = settings_for(tmp_path, "memory").model_copy(update=local)
    async with serving(settings, clock) as api:
        user = await user_of(api)
        answer = await user.post("/mail/test", {"to": "ann@example.org"})
        assert answer.json() == {"sent": True, "reason": None}
        (file,) = settings.outbox_folder.glob("*.eml")
        assert b"To: ann@example.org" in file.read_bytes()
        answer = await user.post("/mail/test", {"to": "nobody"})
        assert verdict(answer) == "400 email_invalid"
        for expected in (*["200 ok"] * 4, "429 throttled"):
            answer = await user.post("/mail/test", {"to": "bob@example.org"})
            assert verdict(answer) == expected
        tested = await details(api, EventType.MAIL_TESTED)
        assert {(one["by"], one["sent"], len(tested)) for one in tested} == {
            ("admin", True, 5)
        }
    settings = settings.model_copy(update={"mail_url": "smtp://localhost:1"})
    async with serving(settings, clock) as api:
        user = await user_of(api)
        answer = await user.post("/mail/test", {"to": "ann@example.org"})
        assert answer.json() == {"sent": False, "reason": "nothing listens there"}
        assert (await user.get("/mail"))["server"] == "localhost:1"


async def test_health_answers_whatever_is_away(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part by itself: one that fails or hangs hides no other, nor the settings."""
    given = {"host": "192.0.2.1", "access_ttl": 90}
    settings = settings_for(tmp_path, "memory").model_copy(update=given)
    async with serving(settings, clock) as api:
        user = await user_of(api)
        shown = await user.get("/health")
        parts = {one["name"]: one for one in shown["parts"]}
        assert {name: one["state"] for name, one in parts.items()} == {
            **dict.fromkeys(("store", "feed", "hashing", "keys", "clock"), "good"),
            **dict.fromkeys(("session store", "mail", "webhooks"), "off"),
        }
        assert parts["keys"]["seen"] == "next rotation 2027-02-14 08:00 UTC"
        assert parts["store"]["slowestMs"] >= 0
        assert (shown["workers"], shown["startedAt"]) == (1, "2027-01-15T08:00:00Z")
        values = {one["name"]: one["value"] for one in shown["settings"]}
        assert values["WATCHWORD_ACCESS_TTL"] == "90s"
        assert values["WATCHWORD_SECRET"] == "set, 1 secret"
        assert "the-server-secret" not in json.dumps(shown)

        async def away(*_: object) -> None:
            raise StoreUnavailable

        async def hangs(*_: object) -> None:
            await asyncio.sleep(600)

        api.engine.turns["keys"].note(0.25, failed=True)
        clock.advance(-limits.HOUR)
        assert api.engine.admin is not None
        look = api.engine.admin.health.report
        with monkeypatch.context() as patched:
            patched.setattr(health, "_TIMEOUT", 0.01)
            patched.setattr(api.engine.stores.keys, "load", away)
            patched.setattr(api.engine.stores.webhooks, "all", hangs)
            patched.setattr(api.engine.hasher, "_pool", None)
            report = await look()
        assert [(one.name, one.state, one.seen) for one in report.parts] == [
            ("store", "failing", "does not answer"),
            ("session store", "off", "sessions are in the store"),
            ("feed", "good", "0.0 s old, 0 followers"),
            ("hashing", "failing", "failed: the log says how"),
            ("mail", "off", "no mail can be sent"),
            ("webhooks", "failing", "does not answer"),
            ("keys", "failing", "next rotation 2027-02-14 08:00 UTC"),
            ("clock", "warning", "was set lately: nothing is swept for a while"),
        ]
        assert report.parts[0].slowest == 0.25
        # A look that succeeds does not hide that the work in the background fails.
        seen = {one.name: one.state for one in (await look()).parts}
        assert (seen["store"], seen["keys"]) == ("good", "failing")
