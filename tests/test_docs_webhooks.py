"""docs/webhooks.md: its receiver believes what is genuine, its numbers and topics."""

from __future__ import annotations

import httpx2
import pytest

from tests.pages import ROOT, files_of, rows_of
from watchword.clocks import system_clock
from watchword.core import limits
from watchword.core.session import time_ordered_id
from watchword.testing import SeededEntropy
from watchword.webhooks.signing import SigningKeys, drawn
from watchword.webhooks.topics import TOPICS

PAGE = ROOT / "docs/webhooks.md"


async def test_the_receiver_acts_once_on_what_is_genuine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = SigningKeys(drawn(SeededEntropy()))
    monkeypatch.setenv("WEBHOOK_SECRET", keys.current.shown_secret())
    program: dict[str, object] = {}
    exec(files_of(PAGE)["receiver.py"], program)
    now, body = system_clock(), b'{"type":"session.ended","data":{"session":"s"}}'
    headers = keys.headers(time_ordered_id(now, bytes(10)), body, now)
    app = httpx2.ASGITransport(program["app"])  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://in") as http:
        for content, status in ((body, 204), (body, 204), (body + b" ", 400)):
            answer = await http.post("/in", content=content, headers=headers)
            assert answer.status_code == status
    assert capsys.readouterr().out == "close what is open of s\n"


def test_the_page_has_every_topic_and_the_numbers_of_the_program() -> None:
    topics = [row[0].strip("`") for row in rows_of(PAGE, "| topic |")]
    assert sorted(topics) == sorted(TOPICS)
    text = " ".join(PAGE.read_text().split())
    tries = [pause // limits.HOUR for pause in limits.WEBHOOK_TRIES[4:]]
    for words in (
        f"There can be {limits.WEBHOOKS_MAX}.",
        f"For {limits.WEBHOOK_SECRET_BOTH // limits.HOUR} hours both sign",
        f"within {limits.WEBHOOK_TIMEOUT // limits.SECOND} seconds",
        "{} hours, {}, {}, {}, {} and {} hours".format(*tries),
        f"webhook {limits.WEBHOOK_WAITING_MAX} deliveries wait at most",
        f"{limits.WEBHOOK_SHOWN // limits.DAY} days, the latest",
        f"latest {limits.WEBHOOK_SHOWN_MAX} of each",
        f"status and {limits.WEBHOOK_ANSWER_MAX} bytes",
    ):
        assert words in text
