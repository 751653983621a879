"""What happens is in a scrape: every metric that is promised, and what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.codes import OTHER_KEY, App, an_app
from tests.server.factors import continued, post, with_phone
from watchword.core import limits
from watchword.errors import Overloaded, StoreUnavailable
from watchword.metrics.charts import Figure
from watchword.metrics.stores import counted
from watchword.ports.batches import PartialResult
from watchword.ports.stats import Stat
from watchword.stores import open_stores

LOCAL: Final = {"Host": "127.0.0.1", "Accept": "application/openmetrics-text"}
PROMISED: Final = """
    sign_ins_total{method,result} refreshes_total{verdict}
    sessions_started_total{client} sessions_ended_total{reason} sessions_live
    token_reuse_total revocation_reach_seconds feed_age_seconds feed_followers
    http_requests_total{route,method,status} http_request_duration_seconds{route}
    hash_queue_length hash_duration_seconds hash_shed_total
    store_operation_duration_seconds{op,store} store_batch_size
    store_errors_total{kind} throttled_total{kind} mail_total{purpose,result}
    outbox_oldest_seconds{kind} factors_total{kind,action} codes_total{result}
    signing_key_age_seconds{use} events_total{type} build_info{version,python}
    """
OF_PROCESS: Final = (
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("process_virtual_memory_bytes", "process_open_fds", "process_max_fds"),
    "process_start_time_seconds",
)


async def scrape(app: App) -> dict[str, float]:
    """Every number of a scrape, by its name and its labels as `{name="value"}`."""
    answer = await app.api.client.get("http://127.0.0.1/metrics", headers=LOCAL)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = {}
    for family in text_string_to_metric_families(answer.text):  # type: ignore[no-untyped-call]
        for one in family.samples:
            labels = ",".join(f'{name}="{v}"' for name, v in sorted(one.labels.items()))
            found[one.name + (f"{{{labels}}}" if labels else "")] = one.value
    return found


async def story(app: App) -> None:
    """A day at a server, in an instant."""
    api, engine = app.api, app.engine
    await app.redeem(code := await app.code())
    await app.redeem(code, OTHER_KEY)
    await app.redeem("ww_ac_x")
    spent = tokens = await api.login()
    for _ in range(2):
        api.clock.advance(limits.MINUTE)
        spent = tokens
        tokens = (await api.refresh(tokens["refreshToken"])).json()
    api.clock.advance(limits.HOUR)
    assert (await api.refresh(spent["refreshToken"], "k" * 20)).status_code == 401
    await api.refresh("no token")
    await api.logout((await api.login())["refreshToken"])
    phone, _ = await with_phone(api, await api.login())
    continuation = await continued(api)
    for given in "000000", phone.code():
        body = {"continuation": continuation, "method": "totp", "code": given}
        await post(api, "/login/continue", body)
    for _ in range(limits.THROTTLE_NAME_BURST + 1):
        await api.try_login("alice", "wrong")
    bob = {"username": "bob", "email": "bob@b.example", "password": "a long one of bob"}
    await post(api, "/register", bob)
    assert engine.measured is not None
    await engine.measured.figures.write()
    assert engine.mail is not None
    await engine.mail.send_due()
    await engine.mail.close()


async def faults(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails in each way, counted as those of the engine are."""
    stores = await open_stores("memory:", lambda n: b"r" * n)

    async def fail(error: Any) -> None:
        raise error

    monkeypatch.setattr(type(stores.keys), "load", lambda _, error: fail(error))
    monkeypatch.setattr(type(stores.keys), "swap", fail)
    assert app.engine.measured is not None
    keys: Any = counted(stores, app.engine.measured.figures._page).keys
    partial = PartialResult([StoreUnavailable()])
    for error in StoreUnavailable(), Overloaded(), partial, ZeroDivisionError():
        with pytest.raises(type(error)):
            await keys.load(error)


async def test_every_metric_is_in_a_scrape_once_it_has_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = {"mail_url": "outbox:", "registration": "open", "host": "127.0.0.1"}
    async with an_app(tmp_path, **local) as app:
        await story(app)
        await faults(app, monkeypatch)
        found = await scrape(app)
    names: dict[str, set[str]] = {}
    for key in found:
        name, _, labels = key.partition("{")
        name = re.sub("_(bucket|sum|count)$", "", name)
        known = names.setdefault(name, set())
        known |= {one for one in re.findall(r'(\w+)="', labels) if one != "le"}
    for promised in PROMISED.split():
        name, _, labels = promised.rstrip("}").partition("{")
        assert names[f"watchword_{name}"] == set(filter(None, labels.split(",")))
    assert set(OF_PROCESS) <= set(names)
    for key, number in {
        'sign_ins_total{method="password",result="stopped"}': 1,
        'sign_ins_total{method="second_factor",result="failed"}': 1,
        'sign_ins_total{method="second_factor",result="success"}': 1,
        'refreshes_total{verdict="rotated"}': 3,
        'refreshes_total{verdict="reused"}': 1,
        'refreshes_total{verdict="invalid"}': 1,
        "token_reuse_total": 1,
        'sessions_started_total{client="app"}': 1,
        'sessions_ended_total{reason="code_reused"}': 1,
        'sessions_ended_total{reason="logout"}': 1,
        'codes_total{result="redeemed"}': 1,
        'codes_total{result="reused"}': 1,
        'codes_total{result="invalid"}': 1,
        'factors_total{action="added",kind="totp"}': 1,
        'factors_total{action="used",kind="totp"}': 1,
        'factors_total{action="failed",kind="totp"}': 1,
        'throttled_total{kind="sign_in"}': 1,
        'mail_total{purpose="confirm",result="sent"}': 1,
        'store_errors_total{kind="partial"}': 1,
        'events_total{type="authn_token_reuse"}': 1,
        'http_requests_total{method="POST",route="/api/auth/refresh",status="401"}': 2,
    }.items():
        assert found[f"watchword_{key}"] == number, key
    assert found['watchword_outbox_oldest_seconds{kind="mail"}'] == 0


async def test_the_figures_of_each_minute_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of a minute in which the store was away, and those of the last one."""
    async with an_app(tmp_path) as app:
        stats = app.stores.stats
        assert app.engine.measured is not None
        write, add = app.engine.measured.figures.write, stats.add

        async def figures() -> dict[tuple[str, str], list[int]]:
            found: dict[tuple[str, str], list[int]] = {}
            for one in await stats.read(0, app.clock() + limits.HOUR):
                found.setdefault((one.name, one.labels), []).append(one.n)
            return found

        async def away(_counts: list[Stat], _levels: list[Stat]) -> None:
            raise StoreUnavailable

        signed_in, live = (Figure.SIGN_INS, "success"), (Figure.SESSIONS_LIVE, "")
        await write()
        assert (await figures())[signed_in] == [1]
        assert (await figures())[live] == [1]
        app.clock.advance(limits.MINUTE)
        await app.api.login()
        monkeypatch.setattr(stats, "add", away)
        with pytest.raises(StoreUnavailable):
            await write()
        monkeypatch.setattr(stats, "add", add)
        app.clock.advance(limits.MINUTE)
        await app.api.login()
        await write()
        await write()
        assert (await figures())[signed_in] == [1, 2]
        assert (await figures())[live] == [1, 3]
        assert (await figures())[Figure.NEW_ACCOUNTS, ""] == [1]
        tokens = await app.api.login()
        await app.api.refresh(tokens["refreshToken"])
        await app.engine.measured.close()
        assert (await figures())[signed_in] == [1, 3]
        latency = [v for (name, _), v in (await figures()).items() if "latency" in name]
        assert sum(map(sum, latency)) == 1
        assert len(await figures()) <= limits.STATS_MAX
