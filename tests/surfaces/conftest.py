"""A stage for every attack; when the curtain falls, the log is searched.

No test of this folder may open a connection or a file by way of a request, and nothing
that was thrown, nor any secret, may be in the access log, the program's log, what was
printed or the audit log.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
import pytest_asyncio

from tests.scenarios.api import local_api, settings_for
from tests.surfaces.stage import APP, Stage
from watchword.testing import ManualClock

_SHOWN: Final = 40
_WORD: Final = re.compile(r"[\w.-]{16,}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WAYS_OUT: Final = (
    *((socket.socket, name) for name in ("connect", "connect_ex", "sendto")),
    *((socket, name) for name in ("getaddrinfo", "create_connection")),
    *(
        (asyncio.BaseEventLoop, name)
        for name in ("create_connection", "getaddrinfo", "create_datagram_endpoint")
    ),
    (builtins, "open"),
)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Faults one to a line: a list's own comparison shows the first alone."""
    if op != "==" or right != [] or not isinstance(left, list):
        return None
    return [f"{len(left)} faults", *map(str, left[:_SHOWN])]


@pytest.fixture(autouse=True)
def _no_full_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application collects once at its start: in a test process, of everything."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture
def no_way_out() -> Iterator[list[str]]:
    """Whoever tries to reach out fails the test, even where the error is swallowed."""
    tried: list[str] = []

    def refuse(*given: Any, **_: Any) -> NoReturn:
        tried.append(f"{given!r:.200}")
        raise AssertionError("an attempt to reach out")

    with pytest.MonkeyPatch.context() as patch:
        for where, name in _WAYS_OUT:
            patch.setattr(where, name, refuse)
        yield tried
    assert tried == []


@pytest.fixture(params=["ES256"])
def alg(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def stage(
    alg: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Stage]:
    caplog.set_level(logging.DEBUG)
    settings = settings_for(
        tmp_path,
        "memory",
        signing_alg=alg,
        cors_origins=(APP,),
        audience="api",
        registration="open",
        mail_url="smtp://127.0.0.1",
    )
    async with local_api(settings, ManualClock()) as api:
        opened = Stage(api)
        await opened.prepare()
        request.getfixturevalue("no_way_out")
        yield opened
        audit = await opened.logged()
    printed = capsys.readouterr()
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    said = [f"{record.getMessage()} {record.exc_text or ''}" for record in records]
    logged = "\n".join([printed.out, printed.err, audit, *said])
    assert " 192.0.2.1 " in printed.err, "the access log was not searched"
    assert leaks(logged, opened) == []


def leaks(logged: str, stage: Stage) -> list[str]:
    """Secrets in the log, and long words in it that somebody has thrown."""
    found = {secret for secret in stage.secrets if secret in logged}
    thrown = "\n".join(stage.thrown)
    # Ids are no secrets; each is in the audit log, and some are thrown.
    words = {word for word in _WORD.findall(logged) if not _UUID.fullmatch(word)}
    return sorted(found | {word for word in words if word in thrown})
