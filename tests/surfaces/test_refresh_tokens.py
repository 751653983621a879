"""The catalogue of forged refresh tokens, at every place that takes one."""

from __future__ import annotations

import pytest

from tests.scenarios.api import BASE
from tests.surfaces.answers import Answer
from tests.surfaces.proofs import Prover
from tests.surfaces.refresh_tokens import forgeries
from tests.surfaces.stage import BY_SCRIPT, COOKIE, FIRST, Holder, Stage, Throw

UNREAD = ("400 invalid_request", "413 payload_too_large")
UNREAD_BY_OAUTH = ("400 invalid_request", "413 invalid_request")


def native(stage: Stage, path: str, *, bare: bool) -> Throw:
    async def throw(token: str) -> Answer:
        return await stage.json(path, token if bare else {"refreshToken": token})

    return throw


def by_cookie(stage: Stage, path: str) -> Throw:
    async def throw(token: str) -> Answer:
        headers = [("Cookie", f"{COOKIE}={token}"), BY_SCRIPT]
        return await stage.call("POST", path, headers)

    return throw


def by_oauth(stage: Stage, path: str, client: str, parameter: str) -> Throw:
    async def throw(token: str) -> Answer:
        fields = {"grant_type": "refresh_token", parameter: token}
        return await stage.oauth(path, fields, client)

    return throw


async def siege(
    stage: Stage, victim: Holder, throw: Throw, *allowed: str, skip: str = "\0"
) -> None:
    """Throw everything; then the victim refreshes as if nothing had been."""
    other = await stage.sign_in(client=victim.client, cookie=victim.cookie)
    texts = [
        pair for pair in await forgeries(stage, victim, other) if skip not in pair[0]
    ]
    assert await stage.besiege(texts, throw, allowed) == []
    for holder in (victim, other):
        assert await stage.lives(holder)
        stage.clock.advance(60_000)  # a browser's session holds off that long
        after = await stage.rotated(holder)
        assert after.refresh != holder.refresh


@pytest.mark.parametrize("bare", [False, True], ids=["object", "string"])
@pytest.mark.parametrize("where", ["refresh", "logout"])
async def test_in_a_json_body(where: str, bare: bool, stage: Stage) -> None:  # noqa: FBT001
    """A refresh is refused; a logout has nothing to end, which it does not tell."""
    victim = await stage.sign_in()
    throw = native(stage, f"{BASE}/{where}", bare=bare)
    done = "401 refresh_invalid" if where == "refresh" else "200 ok"
    await siege(stage, victim, throw, done, *UNREAD)


@pytest.mark.parametrize("where", ["refresh", "logout"])
async def test_in_the_cookie(where: str, stage: Stage) -> None:
    victim = await stage.sign_in(cookie=True)
    throw = by_cookie(stage, f"{BASE}/{where}")
    done = "401 refresh_invalid" if where == "refresh" else "200 ok"
    # Blanks around a cookie's value are no part of it (RFC 6265bis section 5.6).
    await siege(stage, victim, throw, done, *UNREAD, skip="a trailing ")


@pytest.mark.parametrize("client", [FIRST, "pocket", "shop"])
async def test_at_the_token_endpoint(client: str, stage: Stage) -> None:
    """One answer for whatever is wrong (RFC 6749 section 5.2)."""
    victim = await stage.sign_in(client=client)
    throw = by_oauth(stage, "/oauth/token", client, "refresh_token")
    await siege(stage, victim, throw, "400 invalid_grant", *UNREAD_BY_OAUTH)


@pytest.mark.parametrize("client", [FIRST, "pocket", "shop"])
async def test_at_revocation(client: str, stage: Stage) -> None:
    victim = await stage.sign_in(client=client)
    throw = by_oauth(stage, "/oauth/revoke", client, "token")
    # Its own access token is one that may be revoked.
    await siege(
        stage, victim, throw, "200 ok", *UNREAD_BY_OAUTH, skip="the access token"
    )


async def test_at_introspection(stage: Stage) -> None:
    victim = await stage.sign_in(client="shop")
    throw = by_oauth(stage, "/oauth/introspect", "shop", "token")
    await siege(
        stage,
        victim,
        throw,
        "200 inactive",
        *UNREAD_BY_OAUTH,
        skip="the access token",
    )


async def test_a_genuine_token_in_the_wrong_hands(stage: Stage) -> None:
    """Another client's, by another way, or without its key: refused, never spent."""
    body = await stage.sign_in()
    cookie = await stage.sign_in(cookie=True)
    bound = await stage.sign_in(prover=Prover())
    pocket = await stage.sign_in(client="pocket")
    shop = await stage.sign_in(client="shop")
    native_refresh = native(stage, f"{BASE}/refresh", bare=False)
    in_cookie = by_cookie(stage, f"{BASE}/refresh")
    at = {
        client: by_oauth(stage, "/oauth/token", client, "refresh_token")
        for client in stage.clients
    }
    grant, invalid = "400 invalid_grant", "401 refresh_invalid"
    faults = []
    for name, holder, throw, allowed in (
        ("body's in the cookie", body, in_cookie, invalid),
        ("cookie's in the body", cookie, native_refresh, invalid),
        ("cookie's at /oauth/token", cookie, at[FIRST], grant),
        ("pocket's at the native refresh", pocket, native_refresh, invalid),
        ("pocket's by first-party", pocket, at[FIRST], grant),
        ("pocket's by shop", pocket, at["shop"], grant),
        ("shop's by pocket", shop, at["pocket"], grant),
        ("shop's by another confidential client", shop, at["rival"], grant),
        ("first-party's by pocket", body, at["pocket"], grant),
        ("bound, without a proof", bound, native_refresh, "400 invalid_dpop_proof"),
        ("bound, by OAuth", bound, at[FIRST], "400 invalid_dpop_proof"),
    ):
        faults += await stage.besiege([(name, holder.refresh)], throw, [allowed])
    assert faults == []
    for holder in (body, pocket, bound, shop):
        await stage.rotated(holder)
    stage.clock.advance(60_000)
    await stage.rotated(cookie)


async def test_another_clients_token_is_neither_ended_nor_told_of(
    stage: Stage,
) -> None:
    """RFC 7009 section 2.1, RFC 7662 section 2.1."""
    pocket = await stage.sign_in(client="pocket")
    shop = await stage.sign_in(client="shop")
    faults = []
    for owner, path, client, allowed in (
        (pocket, "/oauth/revoke", "shop", "400 invalid_grant"),
        (pocket, "/oauth/revoke", FIRST, "400 invalid_grant"),
        (shop, "/oauth/revoke", "pocket", "400 invalid_grant"),
        (shop, "/oauth/revoke", "rival", "400 invalid_grant"),
        (shop, "/oauth/introspect", "rival", "200 inactive"),
        (pocket, "/oauth/introspect", "shop", "200 inactive"),
    ):
        throw = by_oauth(stage, path, client, "token")
        case = (f"{owner.client}'s at {path} by {client}", owner.refresh)
        faults += await stage.besiege([case], throw, [allowed])
    assert faults == []
    await stage.rotated(pocket)
    await stage.rotated(shop)


async def test_more_than_was_granted(stage: Stage) -> None:
    """A wider scope or another resource is refused, and nothing is spent."""
    pocket = await stage.sign_in(client="pocket")
    for name, value, code in (
        ("scope", "read write admin", "invalid_scope"),
        ("scope", "admin", "invalid_scope"),
        ("scope", "READ", "invalid_scope"),
        ("scope", "read,write", "invalid_scope"),
        ("scope", "x" * 2000, "invalid_request"),
        ("scope", "read\u00a0admin", "invalid_scope"),
        ("scope", "read\tadmin", "invalid_scope"),
        ("resource", "https://evil.example/", "invalid_target"),
        ("resource", "API", "invalid_target"),
        ("resource", "api#fragment", "invalid_target"),
        ("resource", "../api", "invalid_target"),
    ):
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": pocket.refresh,
            name: value,
        }

        async def throw(_: str, fields: dict[str, str] = fields) -> Answer:
            return await stage.oauth("/oauth/token", fields, "pocket")

        assert await stage.besiege([(name, value)], throw, [f"400 {code}"]) == []
    await stage.rotated(pocket)


@pytest.mark.parametrize("blank", ["\t", "\n", "\x0b", "\x1c", "\u00a0", "\u2003"])
async def test_scopes_are_parted_by_a_space_alone(blank: str, stage: Stage) -> None:
    """RFC 6749 section 3.3: other blanks are no part of the grammar."""
    pocket = await stage.sign_in(client="pocket")
    fields = {"grant_type": "refresh_token", "refresh_token": pocket.refresh}
    fields["scope"] = f"read{blank}write"
    answer = await stage.oauth("/oauth/token", fields, "pocket")
    assert answer.verdict() in ("400 invalid_scope", "400 invalid_request")
    await stage.rotated(pocket)


async def test_a_spent_token_ends_one_session_and_opens_none(stage: Stage) -> None:
    """However it is presented, and of whichever generation (design, section 3)."""
    bystander = await stage.sign_in()
    for client, places in ((FIRST, "refresh"), ("pocket", "oauth"), ("shop", "oauth")):
        for turns in (1, 2, 5):
            victim = await stage.sign_in(client=client)
            last = victim
            for _ in range(turns):
                last = await stage.rotated(last)
            expected = (
                "401 refresh_reused" if places == "refresh" else "400 invalid_grant"
            )
            assert (await stage.refresh(victim)).verdict() == expected
            assert not await stage.lives(victim)
            assert (await stage.refresh(last)).status in (400, 401)
    await stage.rotated(bystander)
