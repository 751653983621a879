"""What operators do by the admin API with clients, keys, mail, webhooks; and health."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import pytest_asyncio

from tests.scenarios.api import LocalApi, bearer, code_of, local_api, settings_for
from watchword.core import limits
from watchword.core.session import EVERYTHING, time_ordered_id
from watchword.ports.audit import EventFilter, EventType
from watchword.ports.webhooks import Delivery
from watchword.testing import ManualClock

ADMIN: Final = "/api/admin"
WEB: Final = "https://app.example/cb"


class Operator:
    """A caller of the admin API, by its token."""

    def __init__(self, api: LocalApi, token: str) -> None:
        self.api = api
        self._token = token

    async def call(
        self, method: str, path: str, body: Any = None, version: Any = None
    ) -> httpx2.Response:
        headers = bearer(self._token)
        if version is not None:
            headers["If-Match"] = version if version == "*" else f'"{version}"'
        return await self.api.client.request(
            method, ADMIN + path, json=body, headers=headers
        )

    async def get(self, path: str) -> Any:
        answer = await self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(
        self, path: str, body: Any = None, version: Any = None
    ) -> httpx2.Response:
        return await self.call("POST", path, body, version)


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(settings_for(tmp_path, "memory"), clock) as opened:
        alice = await opened.id_of("alice")
        await opened.engine.accounts.set_roles(alice, ["admin"])
        yield opened


async def user_of(api: LocalApi) -> Operator:
    return Operator(api, (await api.login())["accessToken"])


async def client_of(api: LocalApi, right: str, name: str = "robot") -> Operator:
    client, _ = await api.engine.clients.add(name, confidential=True, rights=[right])
    token = api.engine.client_tokens.issue(client, EVERYTHING)
    return Operator(api, token.access_token)


async def details(api: LocalApi, kind: EventType) -> list[dict[str, Any]]:
    """What the audit log has of events of that type, newest first."""
    found = await api.engine.stores.audit.search(
        EventFilter(types=frozenset({kind})), limit=100, look=1000
    )
    return [dict(event.detail) for _, event in found.events]


def verdict(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {code_of(answer)}"


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
    api: LocalApi,
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
    assert verdict(await user.post("/keys/rotate", {})) == "409 key_not_ready"
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
