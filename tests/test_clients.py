"""OAuth clients: who they are, what they may have, and what failures cost."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
import pytest

from tests.rows import in_one
from watchword.clients.authentication import ClientAuthentication
from watchword.clients.registry import Clients
from watchword.clients.rules import FIRST_PARTY
from watchword.clients.tokens import ClientTokens
from watchword.core.actor import APP, Actor, By, EndReason
from watchword.core.limits import (
    ACCESS_TTL_MAX,
    MINUTE,
    SECOND,
    THROTTLE_CLIENT_BURST,
    THROTTLE_CLIENT_INTERVAL,
)
from watchword.core.session import Policy, RequestedToken
from watchword.errors import (
    InvalidClient,
    InvalidProof,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    NameTaken,
    NotFound,
    StoreUnavailable,
    Throttled,
    UnauthorizedClient,
    VersionChanged,
    WatchwordError,
)
from watchword.keys.ring import KeyRing
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.clients import Client
from watchword.ports.sessions import ByClient, Selector
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.verify import Checker

ISSUER = "https://auth.example"
WEB = "https://app.example/cb"
HERE = "192.0.2.7"
ELSEWHERE = "198.51.100.1"
OPERATOR = By(Actor.OPERATOR, name="root")
OURS = msgspec.structs.replace(FIRST_PARTY, scope=("profile",), grace=7 * SECOND)


class Ended:
    """Sessions, of which only the ending counts here."""

    def __init__(self) -> None:
        self.calls: list[tuple[Selector, str, By]] = []

    async def revoke(self, selector: Selector, reason: str, *, by: By = APP) -> int:
        self.calls.append((selector, reason, by))
        return 3


class World:
    """Clients over a store, and another process over the same one."""

    def __init__(self, stores: Stores, clock: ManualClock) -> None:
        self.stores = stores
        self.clock = clock
        self.sessions = Ended()
        self.keys = KeyRing(
            keys=stores.keys,
            secrets=[b"s" * 32],
            alg="ES256",
            clock=clock,
            entropy=SeededEntropy("keys"),
        )
        self.authentication = self.process()
        sessions: Any = self.sessions
        self.clients = Clients(
            clients=stores.clients,
            sessions=sessions,
            authentication=self.authentication,
            first_party=OURS,
            clock=clock,
            entropy=SeededEntropy("secrets"),
        )
        self.tokens = ClientTokens(
            keys=self.keys,
            policy=Policy(),
            issuer=ISSUER,
            clock=clock,
            entropy=SeededEntropy("tokens"),
        )

    def process(self) -> ClientAuthentication:
        """What a process of its own knows of the clients."""
        return ClientAuthentication(
            clients=self.stores.clients,
            throttle=self.stores.throttle,
            audit=self.stores.audit,
            first_party=OURS,
            clock=self.clock,
        )

    async def confidential(
        self, name: str = "app", **options: Any
    ) -> tuple[Client, str]:
        client, secret = await self.clients.add(name, confidential=True, **options)
        assert secret is not None
        return client, secret

    async def refused(
        self, client_id: str, secret: str | None = "wrong", address: str = HERE
    ) -> WatchwordError:
        with pytest.raises((InvalidClient, Throttled)) as caught:
            await self.authentication.authenticate(client_id, secret, address=address)
        return caught.value

    async def events(self, kind: EventType) -> list[Event]:
        events = await self.stores.audit.read(0, 1000)
        return [event for _, event in events if event.type is kind]


@pytest.fixture
async def world() -> World:
    world = World(await open_stores("memory:", SeededEntropy()), ManualClock())
    await world.keys.start()
    return world


# making


async def test_a_secret_is_shown_once_and_only_its_hash_is_kept(world: World) -> None:
    client, secret = await world.confidential(scope=["b", "a", "b"])
    assert secret.startswith("ww_cs_")
    assert len(secret) == len("ww_cs_") + 43
    assert client.secret_hash == hashlib.sha256(secret.encode()).digest()
    assert await world.clients.get("app") == client
    assert client.scope == ("b", "a")
    told = repr(await world.stores.audit.read(0, 100))
    assert secret not in told + repr(client)
    with pytest.raises(NameTaken, match="app"):
        await world.confidential()


@pytest.mark.parametrize(
    ("options", "grants"),
    [
        ({"confidential": False}, ("refresh_token",)),
        ({"confidential": True}, ("refresh_token", "client_credentials")),
        ({"confidential": True, "rights": ["introspect"]}, ()),
        (
            {"confidential": True, "rights": ["feed"], "grants": ["refresh_token"]},
            ("refresh_token",),
        ),
    ],
)
async def test_a_resource_servers_credentials_are_for_that_alone(
    world: World, options: dict[str, Any], grants: tuple[str, ...]
) -> None:
    """RFC 9701 §3, unless the operator says otherwise."""
    client, _ = await world.clients.add("app", **options)
    assert client.grants == grants


@in_one(
    ("name", "options"),
    [
        *[(name, {}) for name in ("", "-a", ".a", "a b", "ä", "a/b", "a\n", "a" * 65)],
        ("first-party", {}),
        ("01234567-89ab-7cde-8f01-23456789abcd", {}),
        ("01234567-89AB-7CDE-8F01-23456789ABCD", {}),
        *[("app", {"scope": [one]}) for one in ("", "a b", 'a"', "a\\", "ä", "a\n")],
        ("app", {"scope": ["a" * 600, "b" * 600]}),
        ("app", {"scope": ["read", "admin:read"]}),
        *[
            ("app", {"audience": [one]})
            for one in ("", "a b", "https://api.example/#x", "/path", "https:", "ä:b")
        ],
        *[("app", {"access_ttl": ttl}) for ttl in (0, 999, -1, ACCESS_TTL_MAX + 1)],
        *[("app", {"grace": grace}) for grace in (-1, 60_001)],
        ("app", {"checks_dpop": True}),
        ("app", {"checks_dpop": True, "rights": ["feed"]}),
        ("app", {"grants": ["password"]}),
        ("app", {"rights": ["admin"]}),
        ("app", {"confidential": False, "rights": ["introspect"]}),
        ("app", {"rights": ["admin:read"], "grants": ["refresh_token"]}),
        ("app", {"confidential": False, "grants": ["client_credentials"]}),
        ("app", {"redirect_uris": ["https://app.example/#x"]}),
        ("app", {"redirect_uris": [f"{WEB}{number}" for number in range(33)]}),
        ("app", {"post_logout_redirect_uris": ["http://app.example/"]}),
        ("app", {"redirect_uris": [WEB], "grants": ["refresh_token"]}),
        ("app", {"grants": ["authorization_code"]}),
        ("app", {"confidential": False, "redirect_uris": [WEB], "pkce": False}),
        ("app", {"id_token_alg": "HS256"}),
        ("app", {"id_token_alg": "none"}),
        *[("app", {"name": name}) for name in ("a\nb", "a\u202eb", "a" * 65)],
    ],
)
async def test_what_no_client_may_be_is_refused_with_a_sentence(
    world: World, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match=r"^\S.*[A-Za-z]"):
        await world.clients.add(name, **{"confidential": True, **options})
    assert await world.clients.list() == []


async def test_what_a_client_may_be(world: World) -> None:
    """The edges of the above."""
    client, _ = await world.clients.add(
        "0" * 64,
        confidential=True,
        scope=["!", "#[", "]~", "read:orders"],
        audience=["api", "https://api.example/v1?a=b", "urn:example:orders"],
        access_ttl=ACCESS_TTL_MAX,
        rights=["introspect"],
        checks_dpop=True,
        grace=MINUTE,
    )
    assert await world.clients.get(client.id) == client
    assert (client.checks_dpop, client.grace) == (True, MINUTE)
    await world.clients.add("A.b_c-d", confidential=False, access_ttl=SECOND, dpop=True)
    assert [row.id for row in await world.clients.list()] == ["0" * 64, "A.b_c-d"]
    assert await world.clients.list(after="0" * 64, limit=1) != []


async def test_scopes_and_audiences_are_added_and_removed(world: World) -> None:
    """As the store has it, too. What a new client may not have, no change gives."""
    clients = world.clients
    await clients.add("app", confidential=False, scope=["a"])
    after = await clients.update("app", add_scope=["b", "a"], add_audience=["api"])
    assert (after.scope, after.audience) == (("a", "b"), ("api",))
    await clients.update("app", add_scope=["c"], remove_scope=["a", "b"])
    for wrong in (
        {"remove_scope": ["a"]},
        {"remove_audience": ["other"]},
        {"add_scope": ["a b"]},
        {"add_audience": ["https://api.example/#"]},
    ):
        given: Any = wrong
        with pytest.raises(InvalidRequest):
            await clients.update("app", **given)
    found = await clients.get("app")
    assert (found.scope, found.audience) == (("c",), ("api",))


async def test_a_version_is_compared_in_the_write_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another caller that comes between look and write is not overwritten.

    Without a version, the change is made to what that one has left.
    """
    clients, swap = world.clients, world.stores.clients.swap
    client, _ = await clients.add("app", confidential=True)

    async def later(before: Client, after: Client, event: Event) -> bool:
        monkeypatch.setattr(world.stores.clients, "swap", swap)
        await clients.update("app", name="theirs")
        return await swap(before, after, event)

    for version, scope in ((client.version, ()), (None, ("read",))):
        monkeypatch.setattr(world.stores.clients, "swap", later)
        changing = clients.update("app", add_scope=["read"], version=version)
        if version is None:
            await changing
        else:
            with pytest.raises(VersionChanged):
                await changing
        found = await clients.get("app")
        assert (found.name, found.scope) == ("theirs", scope)


async def test_a_client_gets_what_goes_with_its_redirect_uris(world: World) -> None:
    """The grant for codes comes with the first URI, and goes with the last."""
    clients, both = world.clients, ("authorization_code", "refresh_token")
    for confidential in (True, False):
        made, _ = await clients.add(
            f"app{confidential}", confidential=confidential, redirect_uris=[WEB, WEB]
        )
        assert (made.redirect_uris, made.grants, made.pkce) == ((WEB,), both, True)
    machine, _ = await clients.add("machine", confidential=True)
    before = machine.grants
    local = "http://127.0.0.1/cb"
    for changes, uris, grants in (
        ({"add_redirect_uris": [WEB]}, (WEB,), ("authorization_code", *before)),
        (
            {"add_redirect_uris": [local, WEB]},
            (WEB, local),
            ("authorization_code", *before),
        ),
        ({"name": "The machine"}, (WEB, local), ("authorization_code", *before)),
        ({"remove_redirect_uris": [WEB, local]}, (), before),
    ):
        given: Any = changes
        after = await clients.update("machine", **given)
        assert (after.redirect_uris, after.grants) == (uris, grants)
    assert (await clients.get("machine")).name == "The machine"
    for wrong in ({"remove_redirect_uris": [WEB]}, {"add_redirect_uris": ["app:/"]}):
        given = wrong
        with pytest.raises(InvalidRequest):
            await clients.update("machine", **given)
    after = await clients.update(
        "machine", pkce=False, par=True, trusted=True, id_token_alg="EdDSA"
    )
    assert (after.pkce, after.par, after.trusted) == (False, True, True)
    assert await clients.get("machine") == after


# proving


async def test_a_client_is_who_proves_its_secret(world: World) -> None:
    client, secret = await world.confidential()
    public, _ = await world.clients.add("web", confidential=False)
    authenticate = world.authentication.authenticate
    for _ in range(2):  # known by then
        assert await authenticate("app", secret, address=HERE) == client
        assert await authenticate("web", None, address=HERE) == public
    assert await world.events(EventType.CLIENT_FAILED) == []


async def test_every_failure_looks_the_same(world: World) -> None:
    """Unknown, disabled, wrong or no secret, and one for a client that has none."""
    _, secret = await world.confidential()
    _, closed = await world.confidential("closed")
    await world.clients.add("web", confidential=False)
    await world.clients.disable("closed")
    said = set()
    for client_id, shown in (
        ("app", None),
        ("app", ""),
        ("app", secret + " "),
        ("app", "\ud800"),
        ("App", secret),
        ("closed", closed),
        ("closed", "wrong"),
        ("web", "any"),
        ("web", ""),
        ("first-party", "any"),
        ("nobody", None),
        ("nobody", "any"),
        ("\x00" * 9999, "any"),
    ):
        error = await world.refused(client_id, shown)
        said.add((type(error), str(error)))
    assert len(said) == 1


async def test_the_first_party_client_needs_no_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(world.stores.clients, "load", down)
    found = await world.authentication.authenticate("first-party", None, address=HERE)
    assert found == await world.clients.get("first-party")
    assert (found.id, found.scope) == (FIRST_PARTY.id, ("profile",))
    assert found.grace == 7 * SECOND
    assert found.grants == ("authorization_code", "refresh_token")


async def test_a_flood_of_failures_never_locks_the_client_out(world: World) -> None:
    """Failures are slowed by client and by address; the right secret passes."""
    _, secret = await world.confidential()
    for _ in range(THROTTLE_CLIENT_BURST):
        assert isinstance(await world.refused("app"), InvalidClient)
    slowed = await world.refused("app", address=ELSEWHERE)
    assert isinstance(slowed, Throttled)
    assert 0 < slowed.retry_after <= THROTTLE_CLIENT_INTERVAL // 1000 + 1
    assert isinstance(await world.refused("other"), Throttled)  # the same address
    assert isinstance(await world.refused("other", address=ELSEWHERE), InvalidClient)
    for address in (HERE, ELSEWHERE):
        await world.authentication.authenticate("app", secret, address=address)
    world.clock.advance(THROTTLE_CLIENT_INTERVAL)
    assert isinstance(await world.refused("app"), InvalidClient)


async def test_failures_are_recorded_without_flooding_the_log(world: World) -> None:
    """Once a minute for a client, and for all that are none: nothing they sent."""
    await world.confidential()
    for n in range(5):
        await world.refused("app", f"wrong-{n}")
        await world.refused(f"stray-{n}")
    assert [
        (event.client_id, event.address, event.detail)
        for event in await world.events(EventType.CLIENT_FAILED)
    ] == [
        ("app", HERE, {"reason": "secret", "throttled": False}),
        (None, HERE, {"reason": "unknown", "throttled": False}),
    ]
    world.clock.advance(MINUTE)
    await world.refused("app")
    events = await world.events(EventType.CLIENT_FAILED)
    assert len(events) == 3
    assert "stray" not in repr(events)


# changing


async def test_a_changed_secret_works_at_once_and_the_old_one_no_more(
    world: World,
) -> None:
    """In the process that changed it; in another the old one has a second left."""
    _, old = await world.confidential()
    other = world.process()
    await other.authenticate("app", old)
    new = await world.clients.rotate_secret("app")
    await world.refused("app", old)
    await other.authenticate("app", old)
    await other.authenticate("app", new)
    await world.authentication.authenticate("app", new)
    world.clock.advance(SECOND)
    with pytest.raises(InvalidClient):
        await other.authenticate("app", old)


async def test_a_disabled_client_is_refused_and_its_sessions_end(world: World) -> None:
    _, secret = await world.confidential()
    other = world.process()
    await other.authenticate("app", secret)
    assert await world.clients.disable("app", by=OPERATOR) == 3
    assert world.sessions.calls == [
        (ByClient("app"), EndReason.CLIENT_DISABLED, OPERATOR)
    ]
    await world.refused("app", secret)
    world.clock.advance(-MINUTE)  # nor does a clock set back keep it known
    with pytest.raises(InvalidClient):
        await other.authenticate("app", secret)
    await world.clients.enable("app")
    await world.authentication.authenticate("app", secret)
    changes = await world.events(EventType.CLIENT_CHANGED)
    assert [event.detail["change"] for event in changes] == ["disabled", "enabled"]


async def test_grace_and_dpop_can_be_changed(world: World) -> None:
    """Of a client from before there were any, too; and only what is given."""
    client, secret = await world.confidential(rights=["introspect"])
    assert (client.grace, client.checks_dpop) == (10 * SECOND, False)
    await world.authentication.authenticate("app", secret)  # known by then
    await world.clients.update("app", checks_dpop=True)
    after = await world.clients.update("app", grace=0)
    assert (after.grace, after.checks_dpop) == (0, True)
    assert await world.authentication.authenticate("app", secret) == after
    changes = await world.events(EventType.CLIENT_CHANGED)
    assert [event.detail["change"] for event in changes] == ["checks_dpop", "grace"]
    with pytest.raises(InvalidRequest, match="60 seconds"):
        await world.clients.update("app", grace=MINUTE + 1)
    await world.confidential("cron")
    with pytest.raises(InvalidRequest, match="introspect"):
        await world.clients.update("cron", checks_dpop=True)
    assert await world.clients.get("app") == after


async def test_what_cannot_be_changed_says_so(world: World) -> None:
    await world.clients.add("web", confidential=False)
    with pytest.raises(InvalidRequest, match="public"):
        await world.clients.rotate_secret("web")
    for name in ("nobody", "\x00"):
        with pytest.raises(NotFound):
            await world.clients.disable(name)
    for change in (
        world.clients.disable("first-party"),
        world.clients.update("first-party", grace=0),
    ):
        with pytest.raises(InvalidRequest, match="built in"):
            await change


# its own tokens


async def test_a_client_gets_a_token_of_its_own(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6749 §4.4, RFC 9068 §2.2: `sub` is the client, and nobody signed in."""
    caplog.set_level(logging.INFO)
    client, _ = await world.confidential(
        scope=["read", "write"], audience=["a:one", "a:two"], access_ttl=5 * MINUTE
    )
    before = await world.stores.audit.last()
    requested = RequestedToken(scope=("read",), resources=("a:two",), jkt="thumb")
    tokens = world.tokens.issue(client, requested)
    assert (tokens.expires_in, tokens.scope, tokens.bound) == (300, ("read",), True)
    claims = Checker(
        issuer=ISSUER,
        audience="a:two",
        key_of=world.keys.public_key,
        has_ended=lambda _: False,
        clock=world.clock,
    ).verify_for(tokens.access_token, ["a:two"])
    assert (claims.sub, claims.client_id, claims.scope) == ("app", "app", "read")
    assert (claims.sid, claims.auth_time, claims.amr) == (None, None, ())
    assert claims.cnf is not None
    assert claims.cnf.jkt == "thumb"
    whole = world.tokens.issue(client, RequestedToken())
    assert (whole.scope, whole.bound) == (("read", "write"), False)
    # No durable write on this path; the log has it.
    assert await world.stores.audit.last() == before
    assert claims.jti in caplog.text
    assert tokens.access_token not in caplog.text


@pytest.mark.parametrize(
    ("options", "requested", "error"),
    [
        ({}, RequestedToken(scope=("admin",)), InvalidScope),
        ({}, RequestedToken(scope=("read", "admin")), InvalidScope),
        ({}, RequestedToken(resources=("a:other",)), InvalidTarget),
        ({"audience": ["a:own"]}, RequestedToken(resources=("api",)), InvalidTarget),
        ({"dpop": True}, RequestedToken(), InvalidProof),
        ({"grants": ["refresh_token"]}, RequestedToken(), UnauthorizedClient),
        ({"rights": ["introspect"]}, RequestedToken(), UnauthorizedClient),
    ],
)
async def test_a_client_gets_no_more_than_it_has(
    world: World,
    options: dict[str, Any],
    requested: RequestedToken,
    error: type[WatchwordError],
) -> None:
    client, _ = await world.confidential(**{"scope": ["read"], **options})
    with pytest.raises(error):
        world.tokens.issue(client, requested)
