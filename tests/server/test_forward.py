"""GET /forward: which requests a proxy is told to let pass, and as which user."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx2
import pytest_asyncio

from tests.rows import each
from tests.scenarios.api import (
    BASE,
    PASSWORD,
    LocalApi,
    local_api,
    settings_for,
)
from watchword.core.actor import APP
from watchword.core.limits import ACCESS_TTL, MINUTE
from watchword.core.session import EVERYTHING, SessionOptions, TokenSet
from watchword.testing import ManualClock

ORDERS: Final = "https://orders.example"
ALL: Final = ["X-Auth-Subject", "X-Auth-Roles", "X-Auth-Session", "X-Auth-Scope"]
MISTYPED: Final = (
    *("roles=staff", "role=", "role", "role=+", "role=staff&Scope=a", "x"),
    *("max_age=1m", "max_age=9&max_age=9", "max_age=-1", "max_age="),
    *("scope=%22", "scope=%C3%A4", "scope=%FF", "role=a%0d%0ab", "role=a\\b"),
    "&".join(["role=staff"] * 40),
)
ONLY_BEARER: Final = 'Bearer realm="watchword"'


async def ask(
    api: LocalApi, query: str = "", *tokens: str, scheme: str = "Bearer", **more: str
) -> httpx2.Response:
    pairs = [("Authorization", f"{scheme} {one}") for one in tokens]
    headers = httpx2.Headers([*pairs, *more.items()])
    path = f"{BASE}/forward{query and '?'}{query}"
    return await api.client.get(path, headers=headers)


async def signed_in(api: LocalApi, **options: Any) -> TokenSet:
    given = {"client_id": "first-party", **options}
    return await api.engine.sign_in.by_password(
        "ada", PASSWORD, SessionOptions(**given)
    )


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> Any:
    settings = settings_for(tmp_path, "memory")
    async with local_api(settings, clock) as opened:
        engine = opened.engine
        await engine.accounts.register("ada", PASSWORD, roles=["staff", "editor"])
        await engine.clients.add(
            "cron",
            confidential=True,
            scope=["orders:read"],
            grants=["client_credentials"],
        )
        yield opened


def code(answer: httpx2.Response) -> tuple[int, str]:
    """The status, and what was wrong. No answer of a refusal has our headers."""
    if answer.status_code == 200:
        return 200, ""
    assert not set(ALL) & {name.title() for name in answer.headers}
    return answer.status_code, answer.json()["code"]


async def test_all_four_headers_always_come(api: LocalApi) -> None:
    """Empty rather than absent, and of any client's token."""
    both = {"scope": ("orders:read", "orders:write")}
    user, plain = await signed_in(api, **both), await signed_in(api)
    cron = await api.engine.clients.get("cron")
    own = api.engine.client_tokens.issue(cron, EVERYTHING)
    subject = (await api.engine.accounts.get("ada")).subject
    for checks, (token, said) in each(
        [
            (
                user.access_token,
                [subject, "staff editor", user.session.sid, "orders:read orders:write"],
            ),
            (plain.access_token, [subject, "staff editor", plain.session.sid, ""]),
            (own.access_token, ["cron", "", "", "orders:read"]),
        ]
    ):
        with checks:
            answer = await ask(api, "", token)
            assert [answer.headers[name] for name in ALL] == said
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["cache-control"] == "no-store"


async def test_what_the_query_demands_is_needed_and_a_mistyped_demand_lets_none_pass(
    api: LocalApi,
) -> None:
    audience = (ORDERS, "https://stock.example")
    options: Any = {"scope": ("a", "b:c"), "audience": (*audience, "api")}
    token = (await signed_in(api, **options)).access_token
    api.clock.advance(MINUTE)
    role, scope = (403, "insufficient_role"), (403, "insufficient_scope")
    invalid = (401, "token_invalid")
    again = (401, "insufficient_user_authentication")
    for checks, (query, expected) in each(
        [
            ("role=staff", (200, "")),
            ("role=staff&role=editor&scope=a%20b:c", (200, "")),
            ("role=staff+editor", (200, "")),
            ("role=admin", role),
            ("role=staff&role=admin", role),
            ("role=staff+admin", role),
            ("role=Staff", role),
            ("scope=a+c", scope),
            (f"audience={ORDERS}", (200, "")),
            (f"audience={'&audience='.join(audience)}", (200, "")),
            (f"audience={ORDERS}&audience=https://other.example", invalid),
            ("audience=https://other.example", invalid),
            ("max_age=60", (200, "")),
            ("max_age=59", again),
            *((query, (400, "invalid_request")) for query in MISTYPED),
        ]
    ):
        with checks:
            answer = await ask(api, query, token)
            assert code(answer) == expected, answer.text
            shown = answer.headers.get("www-authenticate", "")
            if expected[0] == 401 or expected == scope:
                assert shown.startswith(ONLY_BEARER)
                assert "DPoP" not in shown
            if expected in {scope, again}:
                assert {"a c", "59"} & set(shown.split('"'))


async def test_every_other_credential_is_a_401_that_says_so(api: LocalApi) -> None:
    """Never a 400 for what a client sent: proxies make a 500 of that."""
    tokens = await signed_in(api)
    bound = await signed_in(api, jkt="0" * 43)
    missing, invalid = "token_missing", "token_invalid"
    good = tokens.access_token
    basic: Any = {"scheme": "Basic"}
    for checks, (answer, expected) in each(
        [
            (await ask(api), missing),
            (await ask(api, "", "YTpi", **basic), missing),
            (
                await ask(api, Cookie=f"__Host-watchword={tokens.refresh_token}"),
                missing,
            ),
            (await ask(api, f"access_token={good}", good), "invalid_request"),
            (await ask(api, "", good, good), invalid),
            (await ask(api, "", f"{good} {good}"), invalid),
            (await ask(api, "", tokens.refresh_token), invalid),
            (await ask(api, "", good[:-2] + "AA"), invalid),
            (await ask(api, "", bound.access_token), invalid),
            (await ask(api, "", bound.access_token, scheme="DPoP"), invalid),
        ]
    ):
        with checks:
            status = 400 if expected == "invalid_request" else 401
            assert code(answer) == (status, expected)
    for scheme in ("Bearer", "DPoP"):
        answer = await ask(api, "", bound.access_token, scheme=scheme)
        assert "bound to a key" in answer.json()["detail"]
    assert (await api.client.post(f"{BASE}/forward")).status_code == 405


async def test_an_end_and_the_life_of_a_token_are_honoured(api: LocalApi) -> None:
    first, second = await signed_in(api), await signed_in(api)
    await api.logout(first.refresh_token)
    assert code(await ask(api, "", first.access_token)) == (401, "token_revoked")
    assert code(await ask(api, "", second.access_token)) == (200, "")
    api.clock.advance(ACCESS_TTL)
    assert code(await ask(api, "", second.access_token)) == (401, "token_expired")
    third = await signed_in(api)
    account = await api.engine.accounts.get("ada")
    await api.engine.accounts.disable(account.id, by=APP)
    assert code(await ask(api, "", third.access_token)) == (401, "token_revoked")
