"""What is shown "for loopback only": the folder of the mail that is not sent.

A request of another machine can come from this one's address: through a local proxy,
or from a page whose own name resolves to it (DNS rebinding).
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from starlette.requests import Request

from tests.rows import in_one
from tests.scenarios.api import LocalApi, local_api, settings_for
from tests.server.live import Live, request
from watchword.server.local import is_local_only
from watchword.testing import ManualClock

HERE = {"Host": "127.0.0.1:8000"}
LOCAL = {"issuer": "http://127.0.0.1:8000"}


@pytest_asyncio.fixture
async def developer(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    settings = settings_for(tmp_path, "memory").model_copy(update=LOCAL)
    async with local_api(settings, clock) as opened:
        yield opened


async def shown(api: LocalApi, address: str = "127.0.0.1", **headers: str) -> str:
    given = {**HERE, **{name.replace("_", "-"): text for name, text in headers.items()}}
    answer = await api.at(address).client.get("/docs", headers=given)
    assert answer.status_code == 200
    return answer.text


def names_the_folder(page: str, api: LocalApi) -> bool:
    """The folder itself must not be in the page either, whatever surrounds it."""
    data = str(api.engine.settings.data)
    command = f"watchword mail show --data {data}"
    assert (command in page) == (data in page)
    return command in page


@in_one(
    ("host", "local"),
    [
        *((f"{name}{port}", True) for name in ("localhost", "127.0.0.1", "[::1]")
          for port in ("", ":8000")),
        *((name, True) for name in ("LOCALHOST", "127.9.9.9", "[::ffff:127.0.0.1]")),
        *((name, False) for name in ("auth.example", "rebound.example:8000", "")),
        *((name, False) for name in ("127.0.0.1.example", "localhost.example")),
        *((name, False) for name in ("127.0.0.1@evil.example", "evil.example#@::1")),
        *((name, False) for name in ("192.0.2.1", "[::2]", "0.0.0.0", "[")),
    ],
)  # fmt: skip
async def test_a_developer_is_known_by_the_name_that_was_asked_for(
    developer: LocalApi, host: str, *, local: bool
) -> None:
    page = await shown(developer, Host=host)
    assert names_the_folder(page, developer) is local


async def test_a_command_that_is_not_on_the_path_is_shown_with_its_own(
    developer: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    beside = Path(sys.executable).with_name("watchword")
    assert f"<code>{beside} mail show" in await shown(developer)
    monkeypatch.setenv("PATH", str(beside.parent))
    assert "<code>watchword mail show" in await shown(developer)


@pytest.mark.parametrize(
    "name",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto"),
        *("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"),
    ],
)
async def test_nothing_is_shown_through_a_proxy(developer: LocalApi, name: str) -> None:
    """Also where it says that the client is of this machine."""
    for value in ("127.0.0.1", "for=127.0.0.1", "1.1 proxy", ""):
        page = await shown(developer, **{name: value})
        assert not names_the_folder(page, developer)


async def test_nothing_is_shown_to_other_machines(developer: LocalApi) -> None:
    for address in ("192.0.2.1", "::2", "::ffff:192.0.2.1", "testclient"):
        assert not names_the_folder(await shown(developer, address), developer)
    assert names_the_folder(await shown(developer, "::ffff:127.0.0.1"), developer)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"},
        {"behind_proxy": (ip_network("127.0.0.0/8"),)},
        {"mail_url": "smtp://127.0.0.1"},
        {"issuer": "https://auth.example"},
    ],
    ids="".join,
)
async def test_nothing_is_shown_by_a_server_for_others(
    tmp_path: Path, clock: ManualClock, given: dict[str, Any]
) -> None:
    """Bound to other addresses, behind a proxy, or where mail is sent."""
    plain = settings_for(tmp_path, "memory")
    settings = plain.model_copy(update={**LOCAL, **given})
    async with local_api(settings, clock) as api:
        https = {"X-Forwarded-Proto": "https"} if "behind_proxy" in given else {}
        assert not names_the_folder(await shown(api, **https), api)


async def test_an_app_does_not_know_what_its_server_is_bound_to(
    developer: LocalApi,
) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost")],
        "state": {"watchword": developer.engine, "bound_to": "127.0.0.1"},
    }
    assert is_local_only(Request(scope))
    del scope["state"]["bound_to"]
    assert not is_local_only(Request(scope))


async def test_two_hosts_are_none(developer: LocalApi) -> None:
    pairs = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    headers = httpx2.Headers(pairs)
    page = (await developer.at("127.0.0.1").client.get("/docs", headers=headers)).text
    assert not names_the_folder(page, developer)


def test_a_real_server_shows_it_to_its_developer_and_caches_nothing(
    tmp_path: Path,
) -> None:
    with Live(tmp_path / "data") as live:
        answer = live.call("GET", "/docs")
        assert str(live.data / "outbox") in answer.body.decode()
        assert answer.headers["cache-control"] == "no-store"
        foreign = live.talk(request("GET", "/docs", {"Host": "rebound.example"}))
        assert b"outbox" not in foreign
        passed = {"Host": "localhost", "X-Forwarded-For": "192.0.2.1"}
        assert b"outbox" not in live.talk(request("GET", "/docs", passed))
