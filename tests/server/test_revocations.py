"""The feed over HTTP: who may follow it, resuming, streams, limits, and the end."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until
from tests.scenarios.api import LocalApi, code_of
from tests.server.following import FEED, Follower, Stream
from tests.server.live import Answer, Live, read_answer, request
from watchword.core import limits
from watchword.core.session import Ended, as_text
from watchword.errors import Overloaded
from watchword.revocation.log import RevocationLog
from watchword.testing import ManualClock


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("feed") / "data") as server:
        server.login()
        yield server


@pytest.fixture(scope="module")
def follower(live: Live) -> Follower:
    return Follower(live)


def basic(name: str, secret: str | None) -> dict[str, str]:
    pair = f"{name}:{secret or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def test_only_a_client_with_the_right_may_follow(api: LocalApi) -> None:
    secrets: dict[str, str | None] = {}
    for name, rights in {"feeder": ["feed"], "asker": ["introspect"]}.items():
        _, secrets[name] = await api.engine.clients.add(
            name, confidential=True, rights=rights
        )
    feeder = secrets["feeder"] or ""
    for headers, code in (
        (basic("feeder", feeder), "ok"),
        (basic("asker", secrets["asker"]), "unauthorized_client"),
        (basic("first-party", None), "unauthorized_client"),
        (basic("feeder", "wrong"), "invalid_client"),
        (basic("feeder", None), "invalid_client"),
        (basic("nobody", feeder), "invalid_client"),
        ({"Authorization": "Basic !"}, "invalid_client"),
        ({"Authorization": f"Bearer {feeder}"}, "invalid_client"),
        ({}, "invalid_client"),
    ):
        answer = await api.client.get(FEED, headers=headers)
        assert code_of(answer) == code, headers
        assert answer.headers["cache-control"] == "no-store"
        if code == "invalid_client":
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
    await api.engine.clients.disable("feeder")
    answer = await api.client.get(FEED, headers=basic("feeder", feeder))
    assert code_of(answer) == "invalid_client"


async def test_guessing_a_secret_is_throttled(api: LocalApi) -> None:
    for _ in range(limits.THROTTLE_CLIENT_BURST):
        answer = await api.client.get(FEED, headers=basic("orders", "guess"))
        assert code_of(answer) == "invalid_client"
    answer = await api.client.get(FEED, headers=basic("orders", "guess"))
    assert code_of(answer) == "throttled"


@pytest.mark.parametrize(
    "query",
    ["wait=26", "wait=-1", "wait=", "wait=1.5", "wait=%D9%A1", "wait=1&wait=1"],
)
async def test_a_wait_that_is_none_is_refused(api: LocalApi, query: str) -> None:
    _, secret = await api.engine.clients.add("f", confidential=True, rights=["feed"])
    answer = await api.client.get(f"{FEED}?{query}", headers=basic("f", secret))
    assert code_of(answer) == "invalid_request"


def test_a_follower_reads_on_from_its_cursor(follower: Follower) -> None:
    sid = follower.log_out()
    first = follower.ask().json()
    assert first["complete"]
    assert not first["more"]
    assert sid in [entry["sid"] for entry in first["entries"]]
    # Complete as of a moment ago, and never ahead.
    assert 0 <= first["now"] - first["completeAsOf"] <= limits.FEED_STALE
    nothing = follower.ask(after=first["cursor"]).json()
    assert nothing | {"now": 0, "completeAsOf": 0} == {
        "cursor": first["cursor"],
        "entries": [],
        "more": False,
        "complete": False,
        "now": 0,
        "completeAsOf": 0,
    }
    sid = follower.log_out()
    new_entries = follower.ask(after=first["cursor"]).json()
    assert [entry["sid"] for entry in new_entries["entries"]] == [sid]
    (entry,) = new_entries["entries"]
    life = limits.ACCESS_TTL + limits.FEED_LEEWAY
    assert entry["until"] - entry["at"] >= life


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "0" * 32 + ".1", "{own}.999999", "{own}.-1", "{own}", "x" * 5000],
)
def test_a_cursor_that_is_not_its_own_gets_all_there_is(
    follower: Follower, cursor: str
) -> None:
    """At once, however long it would wait."""
    follower.log_out()
    everything = follower.ask().json()
    own = everything["cursor"].partition(".")[0]
    again = follower.ask(after=cursor.replace("{own}", own), wait=25).json()
    assert again["complete"]
    assert again["entries"] == everything["entries"]


def test_a_long_poll_is_answered_by_the_news(follower: Follower) -> None:
    cursor = follower.ask().json()["cursor"]
    with follower.live.connect() as waiting:
        path = f"{FEED}?after={cursor}&wait=25"
        waiting.sendall(request("GET", path, follower.headers))
        sid = follower.log_out()
        answer = Answer(read_answer(waiting)).json()
    assert [entry["sid"] for entry in answer["entries"]] == [sid]


def test_a_long_poll_without_news_brings_fresh_stamps(follower: Follower) -> None:
    before = follower.ask().json()
    after = follower.ask(after=before["cursor"], wait=1).json()
    assert after["cursor"] == before["cursor"]
    assert after["now"] - before["now"] >= 1000
    assert after["completeAsOf"] > before["completeAsOf"]


def test_a_stream_says_the_same_and_resumes(follower: Follower) -> None:
    first = follower.log_out()
    stream = follower.stream()
    event = stream.next()
    assert event is not None
    cursor, said = event
    assert said["complete"]
    assert said["cursor"] == cursor
    assert first in [entry["sid"] for entry in said["entries"]]
    second = follower.log_out()
    event = stream.next()
    assert event is not None
    assert [entry["sid"] for entry in event[1]["entries"]] == [second]
    stream.close()
    third = follower.log_out()
    resumed = Stream(follower, {"Last-Event-ID": event[0]})
    event = resumed.next()
    assert event is not None
    assert [entry["sid"] for entry in event[1]["entries"]] == [third]
    resumed.close()


async def test_pages_are_bounded_and_memory_too(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many end in one life of an access token; and they leave."""
    monkeypatch.setattr(limits, "FEED_PAGE", 3)
    engine, clock = api.engine, api.clock
    _, secret = await engine.clients.add("f", confidential=True, rights=["feed"])
    here: Any = engine.revocation_log._monotonic
    assert isinstance(here, ManualClock)
    ended = [
        Ended(number.to_bytes(16), clock.now, clock.now + limits.MINUTE)
        for number in range(8)
    ]
    engine.revocations.add(ended)
    engine.revocations.add(ended)  # read once more: no news
    seen: list[str] = []
    said: list[tuple[bool, bool]] = []
    cursor = ""
    for _ in range(3):
        answer = await api.client.get(
            FEED, params={"after": cursor}, headers=basic("f", secret)
        )
        page = answer.json()
        cursor = page["cursor"]
        seen += [entry["sid"] for entry in page["entries"]]
        said.append((page["complete"], page["more"]))
    assert seen == [as_text(one.session_id) for one in ended]
    assert said == [(True, True), (False, True), (False, False)]
    clock.advance(limits.MINUTE)
    await engine.maintenance.sweep()
    assert len(engine.revocation_log) == 8  # the other clock decides too
    here.advance(limits.MINUTE)
    await engine.revocations.read()
    await engine.maintenance.sweep()
    assert len(engine.revocation_log) == len(engine.revocations) == 0
    for known in (cursor, ""):
        page = (
            await api.client.get(
                FEED, params={"after": known}, headers=basic("f", secret)
            )
        ).json()
        assert page["entries"] == []
        assert page["complete"] is not bool(known)
        assert page["cursor"] == cursor


async def test_a_process_that_does_not_know_says_so(api: LocalApi) -> None:
    _, secret = await api.engine.clients.add("f", confidential=True, rights=["feed"])
    here: Any = api.engine.revocation_log._monotonic
    here.advance(limits.FEED_STALE + 1)
    for accept in ("*/*", "text/event-stream"):
        answer = await api.client.get(
            f"{FEED}?wait=25", headers=basic("f", secret) | {"Accept": accept}
        )
        assert code_of(answer) == "store_unavailable"
        assert answer.headers["retry-after"]


async def test_the_number_of_followers_is_bounded(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer at once needs no place: who cannot wait can still ask."""
    monkeypatch.setattr(limits, "FEED_FOLLOWERS", 1)
    _, secret = await api.engine.clients.add("f", confidential=True, rights=["feed"])
    headers = basic("f", secret)
    with api.engine.revocation_log.following("other", "192.0.2.1"):
        for requested in ({"wait": "1"}, {"accept": "text/event-stream"}):
            answer = await api.client.get(
                FEED,
                params={k: v for k, v in requested.items() if k == "wait"},
                headers=headers | {"Accept": requested.get("accept", "*/*")},
            )
            assert answer.status_code == 503
            assert code_of(answer) == "overloaded"
            assert answer.headers["retry-after"]
        assert code_of(await api.client.get(FEED, headers=headers)) == "ok"
    waited = await api.client.get(f"{FEED}?wait=1", headers=headers)
    assert code_of(waited) == "ok"


def test_a_client_has_a_share_and_one_that_has_none_gets_a_place() -> None:
    """However many places one client, or one network, asks for."""
    log = RevocationLog("0" * 32, lambda: 0, lambda: 0)
    with ExitStack() as places:

        def taken(client: str, address: str, requested: int = 2000) -> int:
            """How many of so many places that client gets from there."""
            for count in range(requested):
                try:
                    places.enter_context(log.following(client, address))
                except Overloaded:
                    return count
            return requested

        most = limits.FEED_FOLLOWERS
        assert taken("hog", "192.0.2.1") == limits.FEED_SHARE
        assert taken("hog", "192.0.2.2") == 0
        # Of a network that has its share already, a first place alone.
        assert taken("same", "::ffff:192.0.2.1") == 1
        rest = most - limits.FEED_FIRST - limits.FEED_SHARE - 1
        assert taken("second", "2001:db8::1") == rest
        assert taken("third", "2001:db8::2") == 1
        assert taken("third", "192.0.2.3") == 0
        left = most - limits.FEED_SHARE - rest - 2
        firsts = [taken(f"new {number}", "192.0.2.1", 1) for number in range(left + 5)]
        assert sum(firsts) == left
    assert taken("hog", "192.0.2.1", 1) == 1
    places.close()
    assert not log._of_client
    assert not log._of_network


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["one", "workers"])
def test_open_feeds_do_not_hold_up_the_end(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Long polls are answered, and streams end."""
    with Live(tmp_path / "data", *flags) as live:
        live.login()
        follower = Follower(live)
        polls, streams = [], []
        for _ in range(3):
            cursor = follower.ask().json()["cursor"]
            poll = live.connect()
            path = f"{FEED}?after={cursor}&wait=25"
            poll.sendall(request("GET", path, follower.headers))
            polls.append(poll)
            stream = follower.stream()
            assert stream.next() is not None
            streams.append(stream)
        live.process.send_signal(signal.SIGTERM)
        for poll in polls:
            assert Answer(read_answer(poll)).status == 200
            poll.close()
        for stream in streams:
            while stream.next() is not None:
                pass
            stream.close()
        assert live.stop() == 0
        assert "Traceback" not in live.printed()


def test_whoever_went_away_is_noticed(follower: Follower) -> None:
    """Well before the wait would be over: the access log has their requests."""
    seen = follower.live.printed().count(f"GET {FEED} 200")
    cursor = follower.ask().json()["cursor"]
    stream, poll = follower.stream(), follower.live.connect()
    assert stream.next() is not None
    path = f"{FEED}?after={cursor}&wait=25"
    poll.sendall(request("GET", path, follower.headers))
    follower.ask()  # what came before has been read when this is answered
    stream.close()
    poll.close()
    until(lambda: follower.live.printed().count(f"GET {FEED} 200") == seen + 4)
