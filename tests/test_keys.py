"""The key ring: states, rotation under way, emergencies, seals, and what is shown."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey, RSAKey

from watchword.core.access_token import Claims
from watchword.core.actor import SYSTEM
from watchword.core.limits import (
    ACCESS_TTL_MAX,
    DAY,
    ID_TOKEN_HINT,
    JWKS_MAX_AGE,
    KEY_ROTATION,
)
from watchword.errors import (
    KeyRingError,
    NotFound,
    StoreUnavailable,
    TokenInvalid,
    WatchwordError,
)
from watchword.keys.ring import KeyChange, KeyRing
from watchword.keys.signing import Algorithm, SigningKey, generate
from watchword.keys.vault import Vault, derive
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.keys import KeyState, KeyUse
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.verify import Checker

OLD = b"the-first-server-secret-0123456789-abcdefgh"
NEW = b"the-second-server-secret-0123456789-abcdefg"
ISSUER = "https://auth.example"


class Rings:
    """Processes that share one store of keys."""

    def __init__(self, stores: Stores, clock: ManualClock) -> None:
        self.stores = stores
        self.clock = clock

    async def open(self, *secrets: bytes, alg: Algorithm = "ES256") -> KeyRing:
        given = secrets or (OLD,)
        ring = KeyRing(
            keys=self.stores.keys,
            secrets=given,
            alg=alg,
            clock=self.clock,
            entropy=SeededEntropy(repr(given)),
        )
        await ring.start()
        return ring

    def token(self, ring: KeyRing, *, life: int = 3600) -> str:
        now = self.clock() // 1000
        claims = Claims(
            iss=ISSUER,
            sub="s",
            aud="api",
            exp=now + life,
            iat=now,
            jti="j",
            client_id="c",
            auth_time=now,
            sid="x",
        )
        return ring.active.sign(claims, {})

    def accepts(self, ring: KeyRing, token: str) -> bool:
        try:
            self.checker(ring).verify(token)
        except TokenInvalid:
            return False
        return True

    def checker(self, ring: KeyRing) -> Checker:
        return Checker(
            issuer=ISSUER,
            audience="api",
            key_of=ring.public_key,
            has_ended=lambda _: False,
            clock=self.clock,
        )

    async def changes(self) -> list[Any]:
        events = [event for _, event in await self.stores.audit.read(0, 100)]
        assert {event.type for event in events} <= {EventType.KEY_CHANGED}
        return [event.detail["change"] for event in events]


@pytest.fixture
async def rings() -> Rings:
    return Rings(await open_stores("memory:", SeededEntropy()), ManualClock())


def states(ring: KeyRing) -> Counter[str]:
    return Counter(row.state for row in ring.rows)


def published(ring: KeyRing) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(ring.jwks)["keys"]
    return keys


async def test_a_new_store_gets_an_active_key_and_a_next_one(rings: Rings) -> None:
    ring = await rings.open()
    assert states(ring) == {"active": 1, "next": 1}
    assert len(published(ring)) == 2
    assert rings.accepts(ring, rings.token(ring))
    assert await rings.changes() == ["created"]


async def test_before_it_was_read_a_ring_signs_nothing_and_publishes_nothing(
    rings: Rings,
) -> None:
    ring = KeyRing(
        keys=rings.stores.keys,
        secrets=[OLD],
        alg="ES256",
        clock=rings.clock,
        entropy=SeededEntropy(),
    )
    with pytest.raises(StoreUnavailable):
        _ = ring.active
    assert ring.jwks == b'{"keys":[]}'
    assert ring.public_key("x") is None


async def test_of_two_that_start_at_once_one_makes_the_keys(rings: Rings) -> None:
    one, two = [
        KeyRing(
            keys=rings.stores.keys,
            secrets=[OLD],
            alg="ES256",
            clock=rings.clock,
            entropy=SeededEntropy(name),
        )
        for name in "ab"
    ]
    load = rings.stores.keys.load

    async def before_anybody_wrote() -> Any:
        rings.stores.keys.load = load  # type: ignore[method-assign]  # only once
        await two.start()
        return 0, []

    rings.stores.keys.load = before_anybody_wrote  # type: ignore[method-assign]
    await one.start()
    assert one.active.kid == two.active.kid
    assert one.jwks == two.jwks
    assert await rings.changes() == ["created"]


async def test_a_rotation_keeps_the_tokens_of_before_verifying(rings: Rings) -> None:
    ring = await rings.open()
    before, token, following = ring.active.kid, rings.token(ring), published(ring)[1]
    rings.clock.advance(JWKS_MAX_AGE)
    assert await ring.rotate() == ring.active.kid != before
    assert states(ring) == {"active": 1, "next": 1, "retired": 1}
    assert ring.active.kid in (following["kid"], published(ring)[0]["kid"])
    assert rings.accepts(ring, token)
    assert rings.accepts(ring, rings.token(ring))
    # Until the last one that the key can have signed has expired.
    rings.clock.advance(ACCESS_TTL_MAX - 1)
    await ring.maintain()
    assert before in [key["kid"] for key in published(ring)]
    rings.clock.advance(1)
    await ring.maintain()
    assert before not in [key["kid"] for key in published(ring)]
    assert not rings.accepts(ring, token)
    assert await rings.changes() == ["created", "rotated", "removed"]


async def test_a_rotation_too_early_is_refused_and_says_when(rings: Rings) -> None:
    """Verifiers may have the JWKS of a moment ago, without the next key in it."""
    ring = await rings.open()
    rings.clock.advance(JWKS_MAX_AGE - 1500)
    with pytest.raises(KeyRingError, match="try again in 2 s"):
        await ring.rotate()
    assert states(ring) == {"active": 1, "next": 1}
    rings.clock.advance(1500)
    await ring.rotate()
    with pytest.raises(KeyRingError):
        await ring.rotate()


async def test_rotation_is_automatic_after_its_time(rings: Rings) -> None:
    ring = await rings.open()
    first = ring.active.kid
    rings.clock.advance(KEY_ROTATION - 1)
    await ring.maintain()
    assert ring.active.kid == first
    rings.clock.advance(1)
    await ring.maintain()
    assert ring.active.kid != first
    await ring.maintain()
    assert await rings.changes() == ["created", "rotated"]


async def test_another_process_follows_a_rotation(rings: Rings) -> None:
    one, two = await rings.open(), await rings.open()
    rings.clock.advance(JWKS_MAX_AGE)
    await one.rotate()
    assert rings.accepts(two, rings.token(one))  # it knew that key long since
    await two.refresh()
    assert two.active.kid == one.active.kid
    assert two.jwks == one.jwks


async def test_retiring_a_key_drops_its_tokens_at_once(rings: Rings) -> None:
    """Also those that a verifier has in its cache."""
    ring = await rings.open()
    verifier, token, kid = rings.checker(ring), rings.token(ring), ring.active.kid
    verifier.verify(token)
    await ring.retire(kid)
    with pytest.raises(TokenInvalid):
        verifier.verify(token)
    assert kid not in [key["kid"] for key in published(ring)]
    assert states(ring) == {"active": 1, "next": 1}
    assert rings.accepts(ring, rings.token(ring))


async def test_any_key_can_be_retired_and_no_other(rings: Rings) -> None:
    ring = await rings.open()
    rings.clock.advance(JWKS_MAX_AGE)
    before = ring.active.kid
    await ring.rotate()
    following = next(row.kid for row in ring.rows if row.state == "next")
    active = ring.active.kid
    await ring.retire(following)
    await ring.retire(before)
    assert ring.active.kid == active
    assert states(ring) == {"active": 1, "next": 1}
    with pytest.raises(NotFound):
        await ring.retire(before)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_every_algorithm_signs_what_verifies(
    rings: Rings, alg: Algorithm
) -> None:
    ring = await rings.open(alg=alg)
    token = rings.token(ring)
    assert rings.accepts(ring, token)
    assert {key["alg"] for key in published(ring)} == {alg}
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert head == {"typ": "at+jwt", "alg": alg, "kid": ring.active.kid}
    body, _, signature = token.rpartition(".")
    other = "A" if signature[0] != "A" else "B"
    assert not rings.accepts(ring, f"{body}.{other}{signature[1:]}")


async def test_a_jwt_of_another_kind_is_no_access_token(rings: Rings) -> None:
    """RFC 8725 §3.11: the same key signs it, and its `typ` tells them apart."""
    ring = await rings.open()
    claims = jwt.decode(rings.token(ring), KeySet.import_key_set(json.loads(ring.jwks)))
    kinds = ("token-introspection+jwt", "at+jwt", "token-introspection+jwt")
    for typ in kinds:
        token = ring.active.sign_as(typ, claims.claims)
        read = jwt.decode(token, KeySet.import_key_set(json.loads(ring.jwks)))
        assert read.header == {"typ": typ, "alg": "ES256", "kid": ring.active.kid}
        assert read.claims == claims.claims
        assert rings.accepts(ring, token) == (typ == "at+jwt")


async def test_another_algorithm_by_setting_takes_over_without_a_gap(
    rings: Rings,
) -> None:
    """Its key is published first, then signs; the old tokens verify on."""
    before = await rings.open()
    token = rings.token(before)
    ring = await rings.open(alg="EdDSA")
    await ring.maintain()
    assert ring.active.alg == "ES256"
    assert {key["alg"] for key in published(ring)} == {"ES256", "EdDSA"}
    rings.clock.advance(JWKS_MAX_AGE - 1)
    await ring.maintain()
    assert ring.active.alg == "ES256"
    rings.clock.advance(1)
    await ring.maintain()
    assert ring.active.alg == "EdDSA"
    assert rings.accepts(ring, token)
    assert rings.accepts(ring, rings.token(ring))
    rings.clock.advance(ACCESS_TTL_MAX)
    await ring.maintain()
    assert {key["alg"] for key in published(ring)} == {"EdDSA"}


async def test_a_new_server_secret_seals_the_ring_again(rings: Rings) -> None:
    """Verify with both, promote, drop the old one: the keys stay the same."""
    ring = await rings.open(OLD)
    kids, token = [row.kid for row in ring.rows], rings.token(ring)
    both = await rings.open(OLD, NEW)
    assert [row.sealed for row in both.rows] == [row.sealed for row in ring.rows]
    promoted = await rings.open(NEW, OLD)
    assert [row.kid for row in promoted.rows] == kids
    assert {row.sealed for row in promoted.rows}.isdisjoint(
        row.sealed for row in ring.rows
    )
    await both.refresh()  # a process that was not restarted yet
    alone = await rings.open(NEW)
    for one in (both, promoted, alone):
        assert rings.accepts(one, token)
    assert await rings.changes() == ["created", "sealed again"]
    with pytest.raises(KeyRingError):
        await rings.open(OLD)


async def test_two_orders_of_the_same_secrets_run_side_by_side(rings: Rings) -> None:
    """A restart of every process in turn: no key is lost, whoever seals last."""
    before = await rings.open(OLD, NEW)
    kids, token = {row.kid for row in before.rows}, rings.token(before)
    running = [before]
    for secrets in ((NEW, OLD), (OLD, NEW), (NEW, OLD), (NEW, OLD)):
        running.append(await rings.open(*secrets))
        for ring in running:
            await ring.refresh()
            await ring.maintain()
            assert {row.kid for row in ring.rows} == kids
            assert rings.accepts(ring, token)
            assert rings.accepts(ring, rings.token(before))
    assert await rings.changes() == ["created", *["sealed again"] * 3]
    assert [count for _, count in before.secrets] == [0, 2]
    assert [count for _, count in running[-1].secrets] == [2, 0]
    rings.clock.advance(JWKS_MAX_AGE)
    await before.rotate()  # it seals the key that it makes, and no other
    await running[-1].refresh()
    assert [count for _, count in running[-1].secrets] == [2, 1]
    assert rings.accepts(running[-1], rings.token(before))


async def test_of_two_orders_that_start_at_once_one_seals(rings: Rings) -> None:
    await rings.open(OLD)
    load = rings.stores.keys.load
    found = await load()

    async def before_the_other_wrote() -> Any:
        rings.stores.keys.load = load  # type: ignore[method-assign]  # only once
        await rings.open(NEW, OLD)
        await rings.open(OLD, NEW)
        return found

    rings.stores.keys.load = before_the_other_wrote  # type: ignore[method-assign]
    late = await rings.open(NEW, OLD)
    assert [row.kid for row in late.rows] == [row.kid for row in found[1]]
    assert await rings.changes() == ["created", "sealed again", "sealed again"]


async def test_a_process_without_the_new_secret_goes_on_with_the_ring_it_has(
    rings: Rings,
) -> None:
    """Its operator forgot it: it signs and verifies on, and changes nothing."""
    forgotten = await rings.open(OLD)
    kid = forgotten.active.kid
    promoted = await rings.open(NEW, OLD)
    written = await rings.stores.keys.load()
    rings.clock.advance(KEY_ROTATION)
    for _ in range(2):
        with pytest.raises(KeyRingError, match="WATCHWORD_SECRET"):
            await forgotten.refresh()
        await forgotten.maintain()
    for change in (forgotten.rotate(), forgotten.retire(kid)):
        with pytest.raises(KeyRingError):
            await change
    assert forgotten.active.kid == kid
    for ring in (forgotten, promoted):
        assert rings.accepts(ring, rings.token(forgotten))
    assert await rings.stores.keys.load() == written


async def test_who_only_looks_seals_nothing(rings: Rings) -> None:
    before = await rings.open(OLD)
    ring = KeyRing(
        keys=rings.stores.keys,
        secrets=[NEW, OLD],
        alg="ES256",
        clock=rings.clock,
        entropy=SeededEntropy(),
    )
    await ring.start(reseal=False)
    assert [row.sealed for row in ring.rows] == [row.sealed for row in before.rows]
    (new, none), (old, both) = ring.secrets
    assert (none, both) == (0, 2)
    assert [(old, 2)] == before.secrets
    assert new != old
    assert {len(bytes.fromhex(one)) for one in (new, old)} == {4}
    assert not {new, old} & {derive(s, "signing-keys")[:4].hex() for s in (NEW, OLD)}


async def test_a_wrong_secret_refuses_to_start_and_changes_nothing(
    rings: Rings,
) -> None:
    before = await rings.open(OLD)
    with pytest.raises(KeyRingError, match="WATCHWORD_SECRET") as refused:
        await rings.open(NEW)
    assert OLD.decode() not in str(refused.value)
    assert await rings.stores.keys.load() == (1, before.rows)


@pytest.mark.parametrize("field", ["kid", "alg", "sealed"])
async def test_an_altered_row_is_refused_and_the_ring_in_use_stays(
    rings: Rings, field: str
) -> None:
    ring = await rings.open()
    token, shown = rings.token(ring), ring.jwks
    altered: dict[str, Any] = {
        "kid": generate("ES256").kid,
        "alg": "EdDSA",
        "sealed": ring.rows[0].sealed[:-1] + b"\0",
    }
    rows = [
        msgspec.structs.replace(ring.rows[0], **{field: altered[field]}),
        ring.rows[1],
    ]
    event = (await rings.stores.audit.read(0, 1))[0][1]
    assert await rings.stores.keys.swap(1, rows, event)
    with pytest.raises(KeyRingError):
        await ring.refresh()
    assert ring.jwks == shown
    assert rings.accepts(ring, token)
    with pytest.raises(KeyRingError):
        await rings.open()


def test_a_seal_is_of_its_key_and_of_no_other() -> None:
    vault = Vault([OLD], SeededEntropy())
    one, two = generate("ES256"), generate("ES256")
    row, other = vault.seal(one, KeyState.ACTIVE, 0), vault.seal(two, KeyState.NEXT, 0)
    assert vault.open(row)[0].kid == one.kid
    assert one.private_bytes() not in row.sealed
    assert row.sealed[:12] != other.sealed[:12]
    with pytest.raises(KeyRingError):
        vault.open(msgspec.structs.replace(row, sealed=other.sealed))
    assert vault.seal(one, KeyState.ACTIVE, 0).sealed != row.sealed


def test_labels_part_the_server_secret() -> None:
    """RFC 5869: the MAC key of tokens says nothing of the key that seals."""
    derived = {derive(s, label) for s in (OLD, NEW) for label in ("a", "b")}
    assert len(derived) == 4
    assert {len(one) for one in derived} == {32}


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_the_jwks_shows_no_private_member(rings: Rings, alg: Algorithm) -> None:
    ring = await rings.open(alg=alg)
    allowed = {
        "ES256": {"kty", "crv", "x", "y"},
        "EdDSA": {"kty", "crv", "x"},
        "RS256": {"kty", "n", "e"},
    }
    for key in published(ring):
        assert set(key) == allowed[alg] | {"kid", "use", "alg"}
        assert key["use"] == "sig"
        if alg == "RS256":
            modulus = base64.urlsafe_b64decode(key["n"] + "==")
            assert len(modulus) * 8 == 3072


ID_USES = [use for use in KeyUse if use is not KeyUse.ACCESS_TOKEN]


def of_use(ring: KeyRing, use: KeyUse) -> dict[str, list[str]]:
    """The ids of the keys of that use, by state."""
    found: dict[str, list[str]] = {}
    for row in ring.rows:
        if row.use is use:
            found.setdefault(row.state, []).append(row.kid)
    return found


async def test_each_use_has_a_key_of_its_own_once_it_is_needed(rings: Rings) -> None:
    """Made by one of the processes that need it at once, and followed by a next one."""
    one, two = await rings.open(), await rings.open()
    access = of_use(one, KeyUse.ACCESS_TOKEN)
    for use, alg in zip(ID_USES, ("RS256", "ES256", "EdDSA"), strict=True):
        made = await asyncio.gather(*(r.ensure(use) for r in (one, two, one, two)))
        assert len({key.kid for key in made}) == 1
        assert made[0].alg == alg
        assert set(of_use(two, use)) == {"active"}
    await one.maintain()
    await two.maintain()
    await one.refresh()
    assert all(set(of_use(one, use)) == {"active", "next"} for use in KeyUse)
    assert of_use(one, KeyUse.ACCESS_TOKEN) == access
    assert one.jwks == two.jwks
    assert [key["alg"] for key in published(one)].count("RS256") == 2
    assert len(published(one)) == 8
    # None of them is a key of access tokens.
    assert one.algorithms == ["ES256"]
    for row in one.rows:
        found = (one.public_key(row.kid), one.id_token_key(row.kid))
        of_access = row.use is KeyUse.ACCESS_TOKEN
        assert [key is not None for key in found] == [of_access, not of_access]
    events = [event for _, event in await rings.stores.audit.read(0, 100)]
    told = Counter((event.detail["change"], event.detail["use"]) for event in events)
    assert set(told.values()) == {1}
    assert set(told) == {
        ("created", "access"),
        *(("created", use) for use in ID_USES),
        *(("next one published", use) for use in ID_USES),
    }


async def test_uses_rotate_each_for_itself(rings: Rings) -> None:
    use, ring = KeyUse.ID_TOKEN_ES256, await rings.open()
    with pytest.raises(NotFound):
        await ring.rotate(use)
    first = (await ring.ensure(use)).kid
    with pytest.raises(KeyRingError, match="not published yet"):
        await ring.rotate(use)
    await ring.maintain()
    with pytest.raises(KeyRingError, match="try again in 301 s"):
        await ring.rotate(use)
    access = of_use(ring, KeyUse.ACCESS_TOKEN)
    rings.clock.advance(JWKS_MAX_AGE)
    assert await ring.rotate(use) == (await ring.ensure(use)).kid != first
    assert of_use(ring, use)["retired"] == [first]
    assert of_use(ring, KeyUse.ACCESS_TOKEN) == access
    # Its tokens are hints for as long as a session lasts.
    rings.clock.advance(ID_TOKEN_HINT - 1)
    await ring.maintain()
    assert ring.id_token_key(first) is not None
    assert of_use(ring, KeyUse.ACCESS_TOKEN)["active"] == access["next"]
    rings.clock.advance(1)
    await ring.maintain()
    assert ring.id_token_key(first) is None


@pytest.mark.parametrize("with_next", [False, True])
async def test_in_an_emergency_a_key_of_id_tokens_goes_at_once(
    rings: Rings, *, with_next: bool
) -> None:
    use, ring = KeyUse.ID_TOKEN_EDDSA, await rings.open()
    first = (await ring.ensure(use)).kid
    if with_next:
        await ring.maintain()
    before, access = of_use(ring, use), of_use(ring, KeyUse.ACCESS_TOKEN)
    await ring.retire(first)
    after = of_use(ring, use)
    assert {state: len(kids) for state, kids in after.items()} == {
        "active": 1,
        "next": 1,
    }
    assert first not in [key["kid"] for key in published(ring)]
    if with_next:
        assert after["active"] == before["next"]
    assert of_use(ring, KeyUse.ACCESS_TOKEN) == access


async def test_a_new_server_secret_seals_keys_of_all_uses(rings: Rings) -> None:
    ring = await rings.open(OLD)
    await ring.ensure(KeyUse.ID_TOKEN_RS256)
    await rings.open(NEW, OLD)
    alone = await rings.open(NEW)
    assert [(r.kid, r.use, r.state) for r in alone.rows] == [
        (r.kid, r.use, r.state) for r in ring.rows
    ]
    assert (await alone.ensure(KeyUse.ID_TOKEN_RS256)).alg == "RS256"
    assert alone.jwks == ring.jwks


# standards.md, section 19.
VEC_01: dict[str, str | list[str]] = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuh"
    "DR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0"
    "h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91Cb"
    "OpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
    "Cur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
VEC_02_PRIVATE = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
VEC_02_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


def test_vec_01_the_thumbprint_of_rfc_7638() -> None:
    key = RSAKey.import_key(VEC_01)
    assert key.thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_vec_02_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    raw = base64.urlsafe_b64decode(VEC_02_PRIVATE + "=")
    key = SigningKey(ed25519.Ed25519PrivateKey.from_private_bytes(raw), "EdDSA")
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert key.jwk()["x"] == VEC_02_PUBLIC
    public: dict[str, str | list[str]]
    public = {"kty": "OKP", "crv": "Ed25519", "x": VEC_02_PUBLIC}
    assert OKPKey.import_key(public).thumbprint() == key.kid


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_every_key_id_is_the_thumbprint_of_what_is_published(
    rings: Rings, alg: Algorithm
) -> None:
    ring = await rings.open(alg=alg)
    for key in KeySet.import_key_set(json.loads(ring.jwks)).keys:
        assert key.thumbprint() == key.kid


async def test_the_swap_of_a_ring_that_another_changed_lets_theirs_count(
    rings: Rings,
) -> None:
    one, two = await rings.open(), await rings.open()
    rings.clock.advance(DAY)
    await one.rotate()
    await two._swap(1, two.rows[::-1], KeyChange.ROTATED, SYSTEM)
    assert two.active.kid == one.active.kid
    assert await rings.changes() == ["created", "rotated"]
    with pytest.raises(WatchwordError):
        await two.rotate()  # the next key is a moment old
