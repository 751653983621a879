"""The log as text and as JSON, and the id of a request in all that is said of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.api import BASE, LocalApi, local_api, settings_for
from watchword.server.logs import JsonLines, TextLines
from watchword.server.request_ids import WithRequestId
from watchword.testing import ManualClock

CANARY = "canary-of-this-test-0123456789"


@pytest.fixture
def lines() -> Iterator[dict[str, io.StringIO]]:
    """What the log has, as text and as JSON."""
    found = {"text": io.StringIO(), "json": io.StringIO()}
    handlers = [logging.StreamHandler(one) for one in found.values()]
    for handler, formatter in zip(handlers, (TextLines(), JsonLines()), strict=True):
        handler.addFilter(WithRequestId())
        handler.setFormatter(formatter)
        logging.getLogger("watchword").addHandler(handler)
    yield found
    for handler in handlers:
        logging.getLogger("watchword").removeHandler(handler)


async def broken(*_: object, **_more: object) -> None:
    raise ZeroDivisionError("one\nand two")


async def test_what_is_logged_of_a_request_has_its_id(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: dict[str, io.StringIO],
) -> None:
    """The access log, an error with its traceback, the answer: and nothing secret."""
    given = settings_for(tmp_path, "memory", log_format="json")
    async with local_api(given, ManualClock()) as api:
        first = await api.client.get(f"/sign-in/x?token={CANARY}")
        tokens = await api.login()
        monkeypatch.setattr(api.engine.sessions, "refresh", broken)
        second = await api.client.post(
            f"{BASE}/refresh?{CANARY}",
            json={"refreshToken": tokens["refreshToken"]},
            headers={"X-Request-Id": "not-of-a-proxy"},
        )
        await api.try_login("alice", CANARY)
    assert (first.status_code, second.status_code) == (404, 500)
    ids = [answer.headers["x-request-id"] for answer in (first, second)]
    assert len({*ids, "not-of-a-proxy"}) == 3
    Context().run(logging.getLogger("watchword").warning, "after %s", "it")
    access = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [access[0]["request_id"], access[2]["request_id"]] == ids
    line = access[2]
    assert line == {
        "time": line["time"],
        "level": "info",
        "logger": "watchword.access",
        "client": "127.0.0.1",
        "method": "POST",
        "path": f"{BASE}/refresh",
        "milliseconds": line["milliseconds"],
        "request_id": ids[1],
        "status": 500,
        "problem": "internal_error",
    }
    *written, after = map(json.loads, lines["json"].getvalue().splitlines())
    (error,) = [one for one in written if one.get("request_id") == ids[1]]
    assert error["message"] == "unexpected ZeroDivisionError"
    assert (error["level"], error["logger"]) == ("error", "watchword.server")
    assert error["request_id"] == ids[1]
    assert "one\nand two" in error["error"]
    assert set(after) == {"time", "level", "logger", "message"}
    assert f"ZeroDivisionError [{ids[1]}]\nTraceback" in lines["text"].getvalue()
    assert lines["text"].getvalue().endswith(" WARNING watchword: after it\n")
    said = json.dumps(access) + lines["text"].getvalue()
    assert CANARY not in said
    assert tokens["refreshToken"] not in said


@pytest.mark.parametrize(
    ("proxy", "given", "shown"),
    [
        ("127.0.0.1", "6f0c1b:2a/77", "6f0c1b:2a/77"),
        ("127.0.0.1", "a b", ""),
        ("127.0.0.1", "x" * 65, ""),
        ("127.0.0.1", "ww_rt_x", ""),
        ("10.0.0.1", "6f0c1b", ""),
    ],
)
async def test_the_id_of_a_trusted_proxy_is_taken(
    tmp_path: Path, proxy: str, given: str, shown: str
) -> None:
    """No other caller's, and none that is not the shape of an id."""
    settings: Any = {"behind_proxy": proxy}
    async with local_api(
        settings_for(tmp_path, "memory", **settings), ManualClock()
    ) as api:
        answer = await api.client.get("/healthz", headers={"X-Request-Id": given})
        found = answer.headers["x-request-id"]
        assert found == shown or (not shown and len(found) == 16)


async def test_the_page_for_an_error_has_the_id(api: LocalApi) -> None:
    page = await api.client.post("/sign-in", data={})
    assert f"<code>{page.headers['x-request-id']}</code>" in page.text
