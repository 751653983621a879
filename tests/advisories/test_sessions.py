"""Section 2 of the advisories: refresh, revocation, sessions."""

from __future__ import annotations

import ast
import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import watchword
from tests.advisories.conftest import Serve
from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of
from tests.scenarios.world import Faulty
from tests.server.live import Live
from watchword.core import limits
from watchword.errors import RefreshInvalid
from watchword.stores import open_stores
from watchword.testing import SeededEntropy

SOURCE = Path(watchword.__file__).parent
STORES = pytest.mark.parametrize("on", ["memory", "sqlite"])
KEY = "a-retry-key-of-the-advisories"


async def dead(api: LocalApi, tokens: Any) -> None:
    """Neither token of that session opens anything."""
    assert (await api.refresh(tokens["refreshToken"])).status_code == 401
    assert (await api.secure(tokens["accessToken"])).status_code == 401


@STORES
async def test_cve_2026_1035_parallel_refreshes_make_one_lineage(
    serve: Serve, on: str
) -> None:
    async with serve(on) as api:
        first = (await api.login())["refreshToken"]
        answers = await asyncio.gather(*[api.refresh(first) for _ in range(50)])
        good = {a.json()["refreshToken"] for a in answers if a.status_code == 200}
        assert len(good) == 1
        codes = {code_of(answer) for answer in answers} - {"ok"}
        assert codes <= {"refresh_reused", "session_revoked"}


@STORES
async def test_cve_2026_53517_a_race_does_not_fork_the_family(
    serve: Serve, on: str
) -> None:
    """With a grace several are answered: they are all the one successor."""
    async with serve(on, settings={"rotation_grace": 10}) as api:
        first = (await api.login())["refreshToken"]
        answers = await asyncio.gather(*[api.refresh(first) for _ in range(20)])
        assert {answer.status_code for answer in answers} == {200}
        children = {answer.json()["refreshToken"] for answer in answers}
        assert len(children) == 1
        row = (await api.engine.sessions.list_of_account(await alice(api)))[0]
        assert row.generation == 1


async def alice(api: LocalApi) -> bytes:
    return (await api.engine.accounts.get("alice")).id


def test_cve_2026_50631_a_race_that_kill_9_ends_leaves_one_chain(
    tmp_path: Path,
) -> None:
    with Live(tmp_path / "data") as live:
        for _ in range(3):
            token = live.login()["refreshToken"]
            given: list[str] = []

            def race(token: str = token, given: list[str] = given) -> None:
                try:
                    answer = live.call("POST", f"{BASE}/refresh", token)
                    if answer.status == 200:
                        given.append(answer.json()["refreshToken"])
                except (OSError, ValueError):  # not, or not all of it, answered
                    return

            racers = [threading.Thread(target=race) for _ in range(12)]
            for racer in racers:
                racer.start()
            live.kill()
            for racer in racers:
                racer.join()
            live.start()
            assert len(set(given)) <= 1
            chains = {token, *given}
            alive = [
                one
                for one in sorted(chains)
                if live.call("POST", f"{BASE}/refresh", one).status == 200
            ]
            assert len(alive) <= 1


async def test_cve_2026_126280_a_swap_that_wrote_nothing_grants_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as api:
        first = await api.login()

        async def none_written(changes: Any) -> list[bool]:
            return [False] * len(changes)

        with monkeypatch.context() as patched:
            patched.setattr(api.engine.stores.sessions, "swap", none_written)
            answer = await api.refresh(first["refreshToken"])
        assert (answer.status_code, code_of(answer)) == (503, "store_unavailable")
        assert "accessToken" not in answer.text
        assert (await api.refresh(first["refreshToken"])).status_code == 200


def test_cve_2026_9802_a_revocation_outlives_kill_9(tmp_path: Path) -> None:
    with Live(tmp_path / "data") as live:
        for way in ("token", "bearer", "all"):
            tokens = live.login()
            access = tokens["accessToken"]
            if way == "token":
                live.call("POST", f"{BASE}/logout", tokens["refreshToken"])
            elif way == "bearer":
                live.call("POST", f"{BASE}/logout", access=access)
            else:
                live.call("POST", f"{BASE}/logout-all", access=access)
            live.kill()
            live.start()
            again = live.call("POST", f"{BASE}/refresh", tokens["refreshToken"])
            assert again.code == "session_revoked"
            secure = live.call("GET", f"{BASE}/secure", access=access)
            assert secure.code == "token_revoked"


@STORES
async def test_keycloak_51312_a_refresh_never_resurrects_a_session(
    serve: Serve, on: str
) -> None:
    """Once a revocation is acknowledged, nothing that began later succeeds."""
    draw = random.Random(51312)
    async with serve(on) as api:
        for _ in range(30):
            tokens = await api.login()
            over = asyncio.Event()
            late: list[int] = []

            async def refresh(
                token: str = tokens["refreshToken"],
                over: asyncio.Event = over,
                late: list[int] = late,
            ) -> None:
                for turn in range(6):
                    was_over = over.is_set()
                    answer = await api.refresh(token, f"{KEY}-{turn}")
                    if was_over:
                        late.append(answer.status_code)
                    if answer.status_code != 200:
                        return
                    token = answer.json()["refreshToken"]

            async def revoke(
                tokens: Any = tokens,
                over: asyncio.Event = over,
                n: int = draw.randrange(60),
            ) -> None:
                for _ in range(n):
                    await asyncio.sleep(0)
                assert (await api.logout(tokens["refreshToken"])).status_code == 200
                over.set()

            await asyncio.gather(refresh(), revoke())
            assert set(late) <= {401}
            await dead(api, tokens)


@STORES
async def test_cve_2025_12390_no_tokens_of_another_user_under_load(
    serve: Serve, on: str
) -> None:
    """64 sign in and refresh at once (CVE-2026-33544): each gets its own."""
    async with serve(on) as api:
        wanted = {}
        for number in range(16):
            name = f"user-{number}"
            wanted[name] = (await api.engine.accounts.register(name, PASSWORD)).id

        async def use(name: str, tokens: Any) -> str:
            tokens = (await api.refresh(tokens["refreshToken"])).json()
            claims = api.engine.checker.verify(tokens["accessToken"])
            assert claims.sub.replace("-", "") == wanted[name].hex()
            assert claims.sid == tokens["sessionId"]
            shown = (await api.secure(tokens["accessToken"])).json()
            assert shown["subject"] == claims.sub
            return str(claims.sid)

        signed_in: list[tuple[str, Any]] = []
        for _ in range(4):  # more at once from one address are shed
            token_sets = await asyncio.gather(*[api.login(name) for name in wanted])
            signed_in += zip(wanted, token_sets, strict=True)
        sids = await asyncio.gather(*[use(*one) for one in signed_in])
        assert len(set(sids)) == 64


async def test_ghsa_7fpj_9hr8_28vh_each_kind_of_token_opens_its_own_door(
    api: LocalApi,
) -> None:
    tokens = await api.login()
    access, token = tokens["accessToken"], tokens["refreshToken"]
    assert code_of(await api.refresh(access)) == "refresh_invalid"
    for path in ("secure", "me", "sessions"):
        answer = await api.client.get(f"{BASE}/{path}", headers=bearer(token))
        assert code_of(answer) == "token_invalid"
    for path in ("logout", "logout-all"):
        answer = await api.client.post(f"{BASE}/{path}", headers=bearer(token))
        assert code_of(answer) == "token_invalid"
    assert (await api.logout(access)).status_code == 200  # of no session
    for secret in (tokens["sessionId"], PASSWORD, KEY):
        assert code_of(await api.refresh(secret)) == "refresh_invalid"
        assert code_of(await api.secure(secret.replace(" ", ""))) == "token_invalid"
    assert (await api.secure(access)).status_code == 200
    assert (await api.refresh(token)).status_code == 200


async def test_cve_2026_53512_another_client_cannot_refresh(api: LocalApi) -> None:
    token = (await api.login())["refreshToken"]
    with pytest.raises(RefreshInvalid):
        await api.engine.sessions.refresh(token, client_id="another")
    assert (await api.refresh(token)).status_code == 200


async def test_cve_2026_68481_after_logout_both_tokens_are_dead(api: LocalApi) -> None:
    tokens = await api.login()
    await api.logout(tokens["refreshToken"])
    await dead(api, tokens)


async def test_cve_2026_3583_no_cache_answers_for_a_revoked_token(
    api: LocalApi,
) -> None:
    tokens = await api.login()
    for _ in range(3):
        assert (await api.secure(tokens["accessToken"])).status_code == 200
    await api.logout(tokens["refreshToken"])
    assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"


@STORES
async def test_cve_2024_22513_a_disabled_account_has_nothing(
    serve: Serve, on: str
) -> None:
    async with serve(on) as api:
        token_sets = [await api.login(), await api.login()]
        await api.engine.accounts.disable(await api.id_of("alice"))
        for tokens in token_sets:
            await dead(api, tokens)
        refused = await api.try_login("alice", PASSWORD)
        assert code_of(refused) == "invalid_credentials"
        await api.engine.accounts.enable(await api.id_of("alice"))
        for tokens in token_sets:
            await dead(api, tokens)
        assert (await api.try_login("alice", PASSWORD)).status_code == 200


async def test_cve_2026_27575_a_new_password_ends_the_old_sessions(
    api: LocalApi,
) -> None:
    token_sets = [await api.login(), await api.login()]
    await api.engine.accounts.set_password(
        await api.id_of("alice"), "another horse staple battery 7"
    )
    for tokens in token_sets:
        await dead(api, tokens)
    assert (await api.try_login("alice", PASSWORD)).status_code == 401


@STORES
async def test_ghsa_2vg6_77g8_24mp_tokens_die_with_the_account_for_good(
    serve: Serve, on: str
) -> None:
    async with serve(on) as api:
        tokens = await api.login()
        await api.engine.accounts.delete(await api.id_of("alice"))
        await dead(api, tokens)
        await api.engine.accounts.register("alice", PASSWORD)
        await dead(api, tokens)


async def test_cve_2025_65431_a_name_that_is_used_again_is_another_subject(
    api: LocalApi,
) -> None:
    before = (await api.secure((await api.login())["accessToken"])).json()["subject"]
    await api.engine.accounts.delete(await api.id_of("alice"))
    await api.engine.accounts.register("alice", PASSWORD)
    after = (await api.secure((await api.login())["accessToken"])).json()["subject"]
    assert before != after
    assert "alice" not in before + after


async def test_cve_2025_29928_deleting_a_session_ends_its_tokens(api: LocalApi) -> None:
    mine, other = await api.login(), await api.login()
    newer = (await api.refresh(other["refreshToken"])).json()
    answer = await api.client.delete(
        f"{BASE}/sessions/{other['sessionId']}", headers=bearer(mine["accessToken"])
    )
    assert answer.status_code == 204
    for tokens in (other, newer):
        await dead(api, tokens)
    assert (await api.secure(mine["accessToken"])).status_code == 200


@pytest.mark.parametrize("way", ["logout", "bearer", "logout-all", "delete"])
async def test_cve_2020_15223_a_storage_error_at_revocation_is_never_200(
    serve: Serve, way: str
) -> None:
    stores = await open_stores("memory:", SeededEntropy("store"))
    faulty = Faulty(stores.sessions)
    async with serve(stores=replace(stores, sessions=faulty)) as api:
        tokens = await api.login()
        headers = bearer(tokens["accessToken"])

        async def revoke() -> Any:
            if way == "logout":
                return await api.logout(tokens["refreshToken"])
            if way == "delete":
                path = f"{BASE}/sessions/{tokens['sessionId']}"
                return await api.client.delete(path, headers=headers)
            path = "logout" if way == "bearer" else way
            return await api.client.post(f"{BASE}/{path}", headers=headers)

        faulty.fail_before("end")
        assert code_of(await revoke()) == "store_unavailable"
        assert (await api.secure(tokens["accessToken"])).status_code == 200
        faulty.fail_after("end")  # committed, and its answer lost: not acknowledged
        assert code_of(await revoke()) == "store_unavailable"
        await api.engine.revocations.follow()
        await dead(api, tokens)


async def test_cve_2026_27840_a_token_cut_or_lengthened_is_none(api: LocalApi) -> None:
    token = (await api.login())["refreshToken"]
    wrong = [token[:end] for end in range(len(token))]
    wrong += [token[start:] for start in range(1, len(token))]
    wrong += [token + more for more in ("A", "=", "\n", " ", "\0", ".", token)]
    wrong += [more + token for more in ("A", " ", "\n", "ww_rt_")]
    wrong += [token.upper(), token.swapcase(), token.replace("ww_rt_", "WW_RT_")]
    for one in wrong:
        assert code_of(await api.refresh(one)) == "refresh_invalid"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place in range(6, len(token)):  # every character counts
        changed = alphabet[alphabet.index(token[place]) ^ 1]
        one = token[:place] + changed + token[place + 1 :]
        assert code_of(await api.refresh(one)) == "refresh_invalid"
    assert (await api.refresh(token)).status_code == 200


SQL = (
    "' OR '1'='1",
    "'; DROP TABLE sessions; --",
    '" OR ""="',
    "%",
    "_",
    "\\",
    "a' --",
)


@pytest.mark.parametrize("text", SQL)
async def test_cve_2026_33503_sql_is_text_in_every_field(
    serve: Serve, text: str
) -> None:
    async with serve("sqlite") as api:
        tokens = await api.login()
        headers = bearer(tokens["accessToken"]) | {"User-Agent": text}
        assert (await api.try_login(text, PASSWORD)).status_code == 401
        assert (await api.try_login("alice", text)).status_code == 401
        assert code_of(await api.refresh(text)) == "refresh_invalid"
        assert code_of(await api.secure(text.replace(" ", ""))) in {
            "token_invalid",
            "invalid_request",
        }
        gone = await api.client.request(
            "DELETE", f"{BASE}/sessions/{text}".replace("%", "%25"), headers=headers
        )
        assert gone.status_code == 404
        await api.engine.accounts.register(f"{text} user", PASSWORD)
        assert (await api.try_login(f"{text} user", PASSWORD)).status_code == 200
        assert (await api.secure(tokens["accessToken"])).status_code == 200
        assert (await api.login())["sessionId"]


def test_cve_2026_33504_statements_are_never_put_together_from_values() -> None:
    """No f-string, % or + makes a statement that is executed."""
    for file in (SOURCE / "stores").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            if getattr(node.func, "attr", "") in {"execute", "executemany"}:
                statement = node.args[0]
                assert not isinstance(statement, ast.JoinedStr | ast.BinOp), file


async def test_cve_2025_61928_who_asks_is_never_read_from_the_body(
    api: LocalApi,
) -> None:
    bob = await api.engine.accounts.register("bob", PASSWORD, roles=["admin"])
    extra: dict[str, Any] = {
        "sub": bob.id.hex(),
        "accountId": bob.id.hex(),
        "userId": bob.id.hex(),
    }
    extra |= {"roles": ["admin"], "sessionId": "x", "generation": 0}
    body = {"username": "alice", "password": PASSWORD, **extra}
    tokens = (await api.client.post(f"{BASE}/login", json=body)).json()
    body = {"refreshToken": tokens["refreshToken"], **extra}
    tokens = (await api.client.post(f"{BASE}/refresh", json=body)).json()
    claims = api.engine.checker.verify(tokens["accessToken"])
    assert claims.sub.replace("-", "") == (await alice(api)).hex()
    assert claims.roles == ()


async def test_cve_2024_28197_a_session_presented_at_sign_in_is_not_adopted(
    api: LocalApi,
) -> None:
    old = await api.login()
    body = {"username": "alice", "password": PASSWORD, "sessionId": old["sessionId"]}
    headers = bearer(old["accessToken"]) | {"Cookie": f"session={old['sessionId']}"}
    answer = await api.client.post(f"{BASE}/login", json=body, headers=headers)
    assert answer.json()["sessionId"] != old["sessionId"]
    assert answer.json()["refreshToken"] != old["refreshToken"]


async def test_cve_2026_31813_tokens_of_another_deployment(
    serve: Serve, tmp_path: Path
) -> None:
    """Same secret, other keys; and the same keys under another issuer's name."""
    async with serve() as other:
        theirs = await other.login()
    async with serve(seed="another") as api:
        assert code_of(await api.secure(theirs["accessToken"])) == "token_invalid"
        # The MAC is right, and there is no such session.
        assert code_of(await api.refresh(theirs["refreshToken"])) == "refresh_invalid"
    async with serve("sqlite") as first:
        tokens = await first.login()
    async with serve("sqlite") as api:
        assert (await api.secure(tokens["accessToken"])).status_code == 200
        for name, value in (("issuer", "https://b.example"), ("_audience", "b")):
            kept = getattr(api.engine.checker, name)
            api.engine.checker._verified.clear()
            setattr(api.engine.checker, name, value)
            assert code_of(await api.secure(tokens["accessToken"])) == "token_invalid"
            setattr(api.engine.checker, name, kept)


async def test_authorizer_669_a_logout_counts_when_it_is_answered(
    api: LocalApi,
) -> None:
    for _ in range(50):
        tokens = await api.login()
        assert (await api.logout(tokens["refreshToken"])).status_code == 200
        assert (await api.secure(tokens["accessToken"])).status_code == 401


@pytest.mark.parametrize("verb", ["load", "swap"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_hydra_1928_the_store_dies_in_mid_request(
    serve: Serve, verb: str, when: str
) -> None:
    """The client asks again with its key and goes on, whatever was written."""
    stores = await open_stores("memory:", SeededEntropy("store"))
    faulty = Faulty(stores.sessions)
    async with serve(stores=replace(stores, sessions=faulty)) as api:
        first = (await api.login())["refreshToken"]
        fail: Any = faulty.fail_before if when == "before" else faulty.fail_after
        # A swap is tried again inside, a load is not.
        fail(verb, times=limits.SWAP_ATTEMPTS if verb == "swap" else 1)
        one = await api.refresh(first, KEY)
        assert one.status_code in {200, 503}
        two = await api.refresh(first, KEY)
        assert two.status_code == 200
        again = await api.refresh(two.json()["refreshToken"], f"{KEY}-2")
        assert again.status_code == 200


async def test_dot_1617_a_grace_lets_in_no_older_generation(serve: Serve) -> None:
    async with serve(settings={"rotation_grace": 60}) as api:
        oldest = (await api.login())["refreshToken"]
        middle = (await api.refresh(oldest)).json()["refreshToken"]
        newest = (await api.refresh(middle)).json()
        assert (await api.refresh(middle)).status_code == 200  # within the grace
        assert code_of(await api.refresh(oldest)) == "refresh_reused"
        await dead(api, newest)
