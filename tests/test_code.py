"""From a code to a session: what is answered, what is refused, and what ends it.

    1  the code       sealed for its client, its redirect URI, its verifier, its key
    2  a fault there  `invalid_grant`, and nothing has ended
    3  no row yet     made within 60 s, also where a failover has lost it
    4  a row          the same request: the same tokens; any other: the session ends
    5  the secret     neither a log of codes nor the server secret is enough to make it

The rule for a row is a table in `core/test_code.py`. What changes meanwhile, faults and
races are in `test_code_looks.py`, `test_code_undone.py` and `test_code_raced.py`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import pytest_asyncio

from tests.codes import (
    APP,
    BACK,
    KEY,
    OTHER_KEY,
    SCOPE,
    SECRET,
    SHOP,
    VERIFIER,
    App,
    an_app,
    challenge_of,
    claims_of,
    outcome,
)
from tests.scenarios.api import local_api, settings_for
from tests.verify.proving import Prover
from watchword import Credentials, Subject
from watchword.clients.authentication import hash_of
from watchword.clients.rules import GrantType
from watchword.core.code import secret_of
from watchword.core.limits import CODE_LIFE, DAY, RETRIES_PER_MINUTE, SECOND, TICKET_MAX
from watchword.core.session import Session
from watchword.core.ticket import TicketPurpose
from watchword.ports.audit import EventType
from watchword.server.parsing import BODY_MAX
from watchword.testing import ManualClock

OURS, OTHERS = Prover(), Prover(number=1)


@pytest_asyncio.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with an_app(tmp_path) as made:
        yield made


async def redeemed(app: App, code: str, **request: Any) -> Any:
    answer = await app.redeem(code, **request)
    assert outcome(answer) == "ok", answer.text
    return answer.json()


async def row_of(app: App, code: str) -> Session:
    row = await app.row(code)
    assert row is not None
    return row


# 1 and 3: a code becomes a session.


async def test_a_code_makes_the_session_that_it_names(app: App) -> None:
    app.clock.advance(DAY // 4)
    code = await app.code()
    told = await redeemed(app, code)
    row = await row_of(app, code)
    assert (row.started_from, row.group) == (app.root.id, app.root.id)
    assert (row.generation, row.scope, row.client_id) == (1, SCOPE, APP)
    assert row.auth_time == row.authenticated_at == app.root.auth_time
    assert told["token_type"] == "Bearer"
    assert told["scope"] == "openid profile"
    access, says = claims_of(told["access_token"]), claims_of(told["id_token"])
    assert (says["nonce"], says["aud"], says["sid"]) == ("n-1", APP, row.sid)
    assert says["sub"] == access["sub"]
    assert says["auth_time"] == access["auth_time"] == app.root.auth_time // SECOND
    (begun,) = [e for e in await app.events(EventType.SIGN_IN) if e.client_id == APP]
    assert begun.session_id == row.id


async def test_a_client_without_a_challenge_shows_its_secret(app: App) -> None:
    """In whichever of its two ways: a retry by the other one is the same request."""
    code = await app.code(SHOP, challenge="", nonce="")
    by_form = {"client_id": SHOP, "client_secret": SECRET, "code_verifier": ...}
    told = await redeemed(app, code, **by_form)
    assert "nonce" not in claims_of(told["id_token"])
    basic = base64.b64encode(f"{SHOP}:{SECRET}".encode()).decode()
    answer = await app.api.client.post(
        "/oauth/token",
        data={"grant_type": "authorization_code", "code": code, "redirect_uri": BACK},
        headers={"Authorization": f"Basic {basic}", "Idempotency-Key": KEY},
    )
    assert answer.json()["refresh_token"] == told["refresh_token"]


async def test_without_openid_there_is_no_id_token(app: App) -> None:
    told = await redeemed(app, await app.code(scope=("profile",)))
    assert "id_token" not in told
    assert (await app.stores.keys.load())[1][0].use == "access"


async def test_a_client_that_may_not_refresh_gets_no_refresh_token(app: App) -> None:
    await app.change(APP, grants=(GrantType.AUTHORIZATION_CODE,))
    assert "refresh_token" not in await redeemed(app, await app.code())


async def test_the_exchange_may_ask_for_less_in_its_access_token(app: App) -> None:
    """The session keeps all that was granted."""
    both = ("https://a.example", "https://b.example")
    code = await app.code(resources=both)
    told = await redeemed(app, code, scope="profile", resource=both[1])
    access = claims_of(told["access_token"])
    assert (access["scope"], access["aud"]) == ("profile", both[1])
    row = await row_of(app, code)
    assert (row.scope, row.audience) == (SCOPE, both)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"resource": "https://other.example"}, "invalid_target"),
    ],
)
async def test_the_exchange_may_not_ask_for_more(
    app: App, asked: dict[str, Any], error: str
) -> None:
    code = await app.code()
    assert outcome(await app.redeem(code, **asked)) == error
    assert await app.row(code) is None
    await redeemed(app, code)
    assert outcome(await app.redeem(code, **asked)) == error
    assert len(await app.alive()) == 1


# 2: a fault ends nothing.

FAULTS: dict[str, dict[str, Any]] = {
    "another verifier": {"code_verifier": "w" * 43},
    "no verifier": {"code_verifier": ...},
    "a plain verifier": {"code_verifier": "its own challenge"},
    "a short verifier": {"code_verifier": "v" * 42},
    "a verifier with a newline": {"code_verifier": VERIFIER + "\n"},
    "another redirect URI": {"redirect_uri": BACK + "/"},
    "no redirect URI": {"redirect_uri": ...},
    "another client": {"client_id": "other"},
    "a confidential client": {"client_id": SHOP, "client_secret": SECRET},
    "a code of no server": {"code": "ww_ac_" + "A" * 200},
    "a code of another purpose": {"code": "ww_in_"},
    "a refresh token": {"code": "ww_rt_" + "A" * 76},
    "a code that is too long": {"code": "ww_ac_" + "A" * 5000},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_caller_that_lacks_anything_ends_nothing(
    app: App, fault: dict[str, Any]
) -> None:
    """Neither before the session is there nor afterwards: the code stays good."""
    await app.has("other")
    challenge = "its own challenge"
    plain = fault.get("code_verifier") == challenge
    code = await app.code(**({"challenge": challenge} if plain else {}))
    if fault.get("code") == "ww_in_":
        fault = {"code": "ww_in_" + code.removeprefix("ww_ac_")}
    answer = await app.redeem(code, **fault)
    assert (answer.status_code, outcome(answer)) == (400, "invalid_grant")
    if plain:
        return
    told = await redeemed(app, code)
    assert outcome(await app.redeem(code, **fault)) == "invalid_grant"
    assert outcome(await app.refresh(told["refresh_token"])) == "ok"


async def test_a_verifier_without_a_challenge_is_refused(app: App) -> None:
    """The code was asked for by a request that was not the client's own."""
    shop: Any = {"client_id": SHOP, "client_secret": SECRET}
    code = await app.code(SHOP, challenge="")
    assert outcome(await app.redeem(code, **shop)) == "invalid_grant"
    await redeemed(app, code, **shop, code_verifier=...)


async def test_a_verifier_is_as_long_as_the_standard_has_it(app: App) -> None:
    """A shorter one could be guessed from its challenge (RFC 7636 §4.1, §7.1)."""
    for verifier in ("v" * 42, "v" * 129, "v" * 42 + "!"):
        code = await app.code(challenge=challenge_of(verifier))
        refused = await app.redeem(code, code_verifier=verifier)
        assert outcome(refused) == "invalid_grant"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"code": ...}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"client_id": ...}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": SHOP, "client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "cron"}, "unauthorized_client"),
        ({"code": "A" * BODY_MAX}, "invalid_request"),
    ],
)
async def test_a_request_that_is_none_is_refused_by_name(
    app: App, fault: dict[str, Any], error: str
) -> None:
    await app.has("cron", grants=(GrantType.REFRESH_TOKEN,))
    answer = await app.redeem(await app.code(), **fault)
    assert outcome(answer) == error
    assert answer.status_code < 500
    assert await app.alive() == []


async def test_an_app_with_users_of_its_own_has_no_codes(tmp_path: Path) -> None:
    """It has no pages that could ask them; nor is a code of another server's good."""

    async def check(_: Credentials) -> Subject | None:
        return None

    settings, clock = settings_for(tmp_path, "memory"), ManualClock()
    async with local_api(settings, clock, authenticate=check) as api:
        await api.engine.clients.add(APP, confidential=False, redirect_uris=[BACK])
        form = {"grant_type": "authorization_code", "client_id": APP, "code": "ww_ac_"}
        answer = await api.client.post("/oauth/token", data=form)
    assert outcome(answer) == "unsupported_grant_type"


# DPoP.


async def test_a_proof_binds_the_session_as_at_a_sign_in(app: App) -> None:
    told = await redeemed(app, await app.code(), prover=OURS)
    assert told["token_type"] == "DPoP"
    assert claims_of(told["access_token"])["cnf"] == {"jkt": OURS.jkt}
    (row,) = await app.alive()
    assert row.jkt == OURS.jkt
    refused = await app.refresh(told["refresh_token"])
    assert outcome(refused) == "invalid_dpop_proof"


async def test_a_code_of_a_key_is_redeemed_with_that_key_alone(app: App) -> None:
    """Another key, or none, ends nothing: of a confidential client too."""
    for client in (APP, SHOP):
        secret: Any = SECRET if client == SHOP else ...
        who = {"client_id": client, "client_secret": secret}
        code = await app.code(client, jkt=OURS.jkt)
        for prover in (OTHERS, None):
            refused = await app.redeem(code, prover=prover, **who)
            assert outcome(refused) == "invalid_grant"
        await redeemed(app, code, prover=OURS, **who)
        assert (await row_of(app, code)).jkt == OURS.jkt


async def test_a_proof_that_is_none_spends_nothing(app: App) -> None:
    """Nor may one be used twice: not even with another code."""
    await app.change(APP, dpop=True)
    code = await app.code()
    assert outcome(await app.redeem(code)) == "invalid_dpop_proof"
    forged = Prover()
    forged.sign = OTHERS.sign  # type: ignore[method-assign]
    assert outcome(await app.redeem(code, prover=forged)) == "invalid_dpop_proof"
    assert await app.row(code) is None
    await redeemed(app, code, prover=OURS)


# 4: it comes again.


async def test_a_lost_answer_is_asked_for_again_by_its_key(app: App) -> None:
    """The same refresh token, with a fresh access token and a fresh ID token."""
    code = await app.code()
    first = await redeemed(app, code)
    app.clock.advance(CODE_LIFE)
    again = await redeemed(app, code)
    assert again["refresh_token"] == first["refresh_token"]
    for name in ("access_token", "id_token"):
        before, after = claims_of(first[name]), claims_of(again[name])
        assert after["iat"] == before["iat"] + CODE_LIFE // SECOND
        kept = ("sub", "auth_time", "nonce", "sid")
        assert [after.get(one) for one in kept] == [before.get(one) for one in kept]
    assert len(await app.alive()) == 1
    assert outcome(await app.refresh(again["refresh_token"])) == "ok"


REPLAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "with its key, after a minute": (CODE_LIFE + 1, {}),
    "with its key, the next day": (DAY, {}),
    "with another key, at once": (0, {"key": OTHER_KEY}),
    "without a key, at once": (0, {"key": None}),
    "without a key, after 30 s": (30 * SECOND, {"key": None}),
    "with its key and another DPoP key": (0, {"prover": OTHERS}),
}


@pytest.mark.parametrize(("after", "request_"), REPLAYS.values(), ids=REPLAYS)
async def test_a_replay_is_refused_and_ends_the_session(
    app: App, after: int, request_: dict[str, Any]
) -> None:
    code = await app.code()
    prover = OURS if "prover" in request_ else None
    told = await redeemed(app, code, prover=prover)
    app.clock.advance(after)
    answer = await app.redeem(code, **request_)
    assert (answer.status_code, outcome(answer)) == (400, "invalid_grant")
    row = await row_of(app, code)
    assert row.revoked_reason == "code_reused"
    assert app.engine.revocations.has_ended(row.sid)
    refused = await app.refresh(told["refresh_token"], prover=prover)
    assert outcome(refused) == "invalid_grant"
    (event,) = await app.events(EventType.CODE_REUSED)
    assert event.session_id == row.id
    assert await app.alive() == []


async def test_a_client_that_sends_no_key_has_its_code_once(app: App) -> None:
    code = await app.code()
    await redeemed(app, code, key=None)
    assert outcome(await app.redeem(code, key=None)) == "invalid_grant"
    assert await app.alive() == []


async def test_a_code_whose_tokens_were_used_is_spent_for_good(app: App) -> None:
    """Its client has refreshed, so the answer was not lost."""
    code = await app.code()
    told = await redeemed(app, code)
    await app.refresh(told["refresh_token"])
    assert outcome(await app.redeem(code)) == "invalid_grant"
    assert await app.alive() == []


async def test_retries_of_an_exchange_are_counted(app: App) -> None:
    code = await app.code()
    answers = [await app.redeem(code) for _ in range(RETRIES_PER_MINUTE + 2)]
    last = answers[-1]
    assert (last.status_code, outcome(last)) == (429, "temporarily_unavailable")
    assert len(await app.alive()) == 1


async def test_the_key_of_the_exchange_is_no_key_of_a_refresh(app: App) -> None:
    told = await redeemed(app, await app.code())
    refused = await app.refresh(told["refresh_token"], KEY)
    assert outcome(refused) == "invalid_request"
    assert outcome(await app.refresh(told["refresh_token"], OTHER_KEY)) == "ok"


# 3: the row is not there, or is an older one.


async def test_a_code_is_good_for_a_minute_either_way(app: App) -> None:
    """The clock of another process may be behind the one that made it."""
    for late in (CODE_LIFE + 1, -CODE_LIFE - 1):
        code = await app.code()
        app.clock.advance(late)
        assert outcome(await app.redeem(code)) == "invalid_grant"
        assert await app.row(code) is None
        app.clock.advance(-late)
        await redeemed(app, code)


def lose(app: App, session: Session) -> None:
    """A failover of the store: the row was not copied."""
    del app.stores.sessions._memory.sessions[session.id]


def rewind(app: App, session: Session) -> None:
    """A failover of the store: what came after this row was not copied."""
    app.stores.sessions._memory.sessions[session.id] = session


async def test_a_row_lost_in_a_failover_is_made_again_within_a_minute(
    app: App,
) -> None:
    """And its client, which has tokens of it already, goes on with them."""
    code = await app.code()
    told = await redeemed(app, code)
    newer = (await app.refresh(told["refresh_token"])).json()
    lose(app, await row_of(app, code))
    app.clock.advance(CODE_LIFE)
    again = await redeemed(app, code)
    assert again["refresh_token"] == told["refresh_token"]
    assert outcome(await app.refresh(newer["refresh_token"])) == "ok"


async def test_a_row_lost_in_a_failover_stays_lost_after_a_minute(app: App) -> None:
    code = await app.code()
    await redeemed(app, code)
    lose(app, await row_of(app, code))
    app.clock.advance(CODE_LIFE + 1)
    assert outcome(await app.redeem(code)) == "invalid_grant"
    assert await app.alive() == []


async def test_a_rewound_row_is_judged_as_it_stands(app: App) -> None:
    """The client that had refreshed gets on, and a replay is one all the same."""
    code = await app.code()
    told = await redeemed(app, code)
    first = await row_of(app, code)
    newer = (await app.refresh(told["refresh_token"])).json()
    rewind(app, first)
    again = await redeemed(app, code)
    assert again["refresh_token"] == told["refresh_token"]
    newest = await app.refresh(newer["refresh_token"])
    assert outcome(newest) == "ok"
    rewind(app, first)
    assert outcome(await app.redeem(code, key=OTHER_KEY)) == "invalid_grant"
    assert outcome(await app.refresh(newest.json()["refresh_token"])) == "invalid_grant"


# 5: what an attacker has who reads logs, and even the server secret.


async def test_a_log_of_codes_and_the_server_secret_make_no_token(app: App) -> None:
    """The code says its seed then, but not what the client shows with it."""
    code, keyless = await app.code(), await app.code(SHOP, challenge="")
    await redeemed(app, code)
    shop = {"client_id": SHOP, "client_secret": SECRET, "code_verifier": ...}
    await redeemed(app, keyless, **shop)
    mint = app.engine.sessions._tokens.mint
    for one, client in ((code, APP), (keyless, SHOP)):
        grant = app.grant(one)
        stored = (await row_of(app, one)).secret_hash
        guesses = [grant.seed, stored[:20], grant.challenge.encode()[:20]]
        guesses += [
            secret_of(grant.seed, text)
            for text in ("", grant.challenge, one, hash_of(SECRET).hex())
        ]
        secret: Any = {"client_secret": SECRET} if client == SHOP else {}
        for guess in guesses:
            for generation in (0, 1, 2):
                forged = mint(grant.session_id, generation, guess)
                refused = await app.refresh(forged, KEY, client, **secret)
                assert outcome(refused) == "invalid_grant"
    assert len(await app.alive()) == 2
    # Nor is the code answered once more: that takes what is in no log.
    assert outcome(await app.redeem(code, code_verifier=...)) == "invalid_grant"
    assert len(await app.alive()) == 2


async def test_the_server_secret_and_an_id_make_no_code(app: App) -> None:
    """A user sees the ids of its sessions, but not what else a code says of one."""
    replace = msgspec.structs.replace
    grant = app.grant(await app.code())
    for mark in (b"", bytes(32), hash_of("guessed")):
        made = replace(grant, root_mark=mark)
        forged = app.engine.tickets.seal(TicketPurpose.CODE, made)
        assert outcome(await app.redeem(forged)) == "invalid_grant"
    assert await app.alive() == []
    genuine = app.engine.tickets.seal(TicketPurpose.CODE, grant)
    assert outcome(await app.redeem(genuine)) == "ok"


async def test_a_refresh_token_of_generation_zero_needs_the_verifier(
    app: App,
) -> None:
    """One is never given: it can only be forged, with the server secret.

    Then it is worth what the code is worth with its verifier: the current token, by the
    key of the exchange, and the end of the session without it.
    """
    code = await app.code()
    told = await redeemed(app, code)
    row = await row_of(app, code)
    assert app.engine.sessions.generation_of(told["refresh_token"]) == 1
    secret = secret_of(app.grant(code).seed, VERIFIER)
    forged = app.engine.sessions._tokens.mint(row.id, 0, secret)
    app.clock.advance(CODE_LIFE)
    assert outcome(await app.refresh(forged, OTHER_KEY)) == "invalid_grant"
    assert await app.alive() == []


async def test_a_code_that_was_changed_is_none(app: App) -> None:
    code = await app.code()
    for place in range(len("ww_ac_"), len(code), 17):
        changed = "A" if code[place] != "A" else "B"
        forged = code[:place] + changed + code[place + 1 :]
        assert outcome(await app.redeem(forged)) == "invalid_grant"
    assert await app.alive() == []


async def test_a_code_fits_where_codes_are_carried(app: App) -> None:
    assert app.grant(await app.code()).authenticated.roles == ()
    with pytest.raises(ValueError, match="too long"):
        await app.code(nonce="n" * TICKET_MAX)


# ID tokens at a refresh (OpenID Connect Core §12.2).


async def test_a_refresh_that_asks_for_openid_gets_an_id_token(app: App) -> None:
    told = await redeemed(app, await app.code())
    app.clock.advance(DAY // 4)

    async def refreshed(token: str, **form: Any) -> httpx2.Response:
        return await app.refresh(token, **form)

    plain = (await refreshed(told["refresh_token"])).json()
    assert "id_token" not in plain
    asked = (await refreshed(plain["refresh_token"], scope="openid")).json()
    first, later = claims_of(told["id_token"]), claims_of(asked["id_token"])
    for name in ("iss", "sub", "aud", "auth_time", "sid"):
        assert later[name] == first[name]
    assert later["iat"] == first["iat"] + DAY // 4 // SECOND
    assert "nonce" not in later
    none = await app.code(scope=("profile",))
    without = await redeemed(app, none)
    refused = await refreshed(without["refresh_token"], scope="openid")
    assert outcome(refused) == "invalid_scope"
