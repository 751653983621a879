"""What a user of `watchword.client` gets, against the real server."""

from __future__ import annotations

import asyncio
import io
import runpy
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import requests
import trio

from tests.client.conftest import LIFE, SECURE, Stage, force, generation_of
from tests.client.middle import LOST, REFRESH, Given, Middle, Seen
from tests.patience import PATIENCE
from tests.server.live import PASSWORD
from watchword.client import Auth, RequestsAuth, clock
from watchword.client.clock import Clocks
from watchword.errors import (
    InvalidCredentials,
    RefreshReused,
    SessionRevoked,
    SettingsError,
    SignedOut,
    StoreUnavailable,
    Throttled,
    TokenExpired,
    TryAgain,
    Unreachable,
)

# Reading the system's authorities takes longer than all that is done with a client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def by_httpx2(auth: Auth, url: str) -> int:
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        return http.get(url).status_code


def by_async_httpx2(auth: Auth, url: str) -> int:
    async def get() -> int:
        async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
            return (await http.get(url)).status_code

    return asyncio.run(get())


def by_trio(auth: Auth, url: str) -> int:
    async def get() -> int:
        async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
            return (await http.get(url)).status_code

    return trio.run(get)


def by_requests(auth: Auth, url: str) -> int:
    return requests.get(url, auth=RequestsAuth(auth), timeout=PATIENCE).status_code


Get = Callable[[Auth, str], int]
every_library = pytest.mark.parametrize(
    "get", [by_httpx2, by_async_httpx2, by_trio, by_requests]
)


@every_library
@pytest.mark.parametrize("kept", [True, False])
def test_an_access_token_expires_and_nobody_notices(
    stage: Stage, get: Get, *, kept: bool
) -> None:
    """Refreshed ahead of its end by the client's clock; after it, by a 401."""
    auth = stage.signed_in(**({} if kept else {"file": None}))
    assert get(auth, stage.secure()) == 200
    assert not stage.middle.refreshes()
    stage.later(0.92 * LIFE)
    assert get(auth, stage.secure()) == 200
    assert len(stage.middle.refreshes()) == 1
    stage.expire()
    before = len(stage.middle.seen)
    assert get(auth, stage.secure()) == 200
    paths = [one.path for one in stage.middle.seen[before:]]
    assert paths == [SECURE, REFRESH, SECURE]


@pytest.mark.parametrize("goes", ["steady", "wall"])
def test_a_token_is_over_by_whichever_clock_says_so(stage: Stage, goes: str) -> None:
    """One may stand still while the machine sleeps, the other may be set back."""
    ahead = {"steady": 0.0, "wall": 0.0}
    clocks = Clocks(
        lambda: time.monotonic() + ahead["steady"], lambda: time.time() + ahead["wall"]
    )
    auth = stage.signed_in(clocks=clocks)
    assert by_httpx2(auth, stage.secure()) == 200
    ahead[goes] += LIFE
    assert by_httpx2(auth, stage.secure()) == 200
    assert stage.generation() == 1


def test_the_steady_clock_is_not_the_one_that_stops_in_sleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS: without CLOCK_BOOTTIME, and where `time.monotonic` stands still."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    steady = runpy.run_path(clock.__file__)["SYSTEM"].steady
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert before <= steady() <= time.clock_gettime(time.CLOCK_MONOTONIC)


def test_a_task_of_trio_is_cancelled_between_two_attempts(stage: Stage) -> None:
    """It does not sit in its pause until that is over, and nothing is lost."""
    auth = stage.signed_in()
    stage.later()
    busy = Given(503, headers=(("Retry-After", "5"),))
    stage.middle.then(REFRESH, *[busy] * 100)

    async def give_up() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(auth.atoken)
            while not stage.middle.refreshes():  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(give_up)
    stage.middle.deeds.clear()
    assert by_trio(auth, stage.secure()) == 200
    assert len({one.key for one in stage.middle.refreshes()}) == 1


def test_before_its_time_nothing_is_refreshed(stage: Stage) -> None:
    auth = stage.signed_in()
    stage.later(0.79 * LIFE)
    assert by_httpx2(auth, stage.secure()) == 200
    assert not stage.middle.refreshes()


async def test_the_calls_of_a_session_await_too(stage: Stage) -> None:
    auth = stage.auth()
    await auth.alogin("admin", PASSWORD)
    assert await auth.atoken() == auth.token()
    await auth.alogout()
    with pytest.raises(SignedOut):
        await auth.atoken()


@every_library
def test_an_answer_is_dropped_and_the_same_key_asks_again(
    stage: Stage, get: Get
) -> None:
    auth = stage.signed_in()
    stage.later()
    stage.middle.then(REFRESH, LOST, LOST)
    assert get(auth, stage.secure()) == 200
    asked = stage.middle.refreshes()
    assert len(asked) == 3
    assert len({(one.key, one.body) for one in asked}) == 1
    assert stage.generation() == 1
    assert stage.kept()["retry_key"] is None
    stage.later()
    assert get(auth, stage.secure()) == 200
    assert stage.middle.refreshes()[-1].key != asked[0].key


def test_the_key_is_stored_with_its_token_before_it_is_sent(stage: Stage) -> None:
    auth = stage.signed_in()
    stage.later()
    stored: list[Any] = []

    def look(_: Seen) -> Given | None:
        stored.append(stage.kept())
        return None

    stage.middle.then(REFRESH, look)
    auth.token()
    (asked,) = stage.middle.refreshes()
    assert stored[0]["retry_key"] == asked.key
    assert stored[0]["refresh_token"].encode() in asked.body


@pytest.mark.parametrize("over", [0.92, 1])
def test_a_key_that_was_used_is_replaced(stage: Stage, over: float) -> None:
    auth = stage.signed_in()
    stage.later(over * LIFE)
    reused = b'{"code": "retry_key_reused", "detail": "Draw a new one."}'
    stage.middle.then(REFRESH, Given(400, reused))
    auth.token()
    first, second = stage.middle.refreshes()
    assert first.key != second.key
    assert stage.generation() == 1


PAGE = Given(200, b"<html>Sign in to this network</html>")
BUSY = Given(
    503, b'{"code": "store_unavailable", "detail": "Later."}', (("Retry-After", "1"),)
)


def test_no_fault_of_a_server_or_network_signs_anybody_out(stage: Stage) -> None:
    """A gateway, a hotel's page, a proxy's 401: the token in hand does meanwhile."""
    auth = stage.signed_in()
    stage.later(0.92 * LIFE)
    for fault in (BUSY, PAGE, Given(401, b"who are you"), Given(502, b""), LOST):
        stage.middle.then(REFRESH, fault)
        assert by_httpx2(auth, stage.secure()) == 200
        force(auth)
    assert len({one.key for one in stage.middle.refreshes()}) == 1
    assert stage.generation() <= 1
    assert by_httpx2(auth, stage.secure()) == 200
    assert stage.generation() == 1


def test_a_server_that_stays_away_is_an_error_that_can_be_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("watchword.client.runners.time.sleep", waits.append)
    auth = stage.signed_in()
    stage.later()
    stage.middle.then(REFRESH, *[BUSY] * 6)
    with pytest.raises(StoreUnavailable):
        auth.token()
    stage.later(1)
    assert len(waits) == 5
    assert all(1 + 0.1 * 2**n <= wait <= 6 for n, wait in enumerate(waits))
    away = Given(
        429, b'{"code": "throttled", "detail": "Wait."}', (("Retry-After", "60"),)
    )
    stage.middle.then(REFRESH, away)
    with pytest.raises(Throttled) as told:
        auth.token()
    assert told.value.retry_after == 60
    assert len(waits) == 5, "so long only the caller can wait"
    before = len(stage.middle.refreshes())
    with pytest.raises(Throttled):
        auth.token()
    assert len(stage.middle.refreshes()) == before, "nobody asks again until then"
    stage.later(60)
    auth.token()
    assert len({one.key for one in stage.middle.refreshes()}) == 1


@every_library
def test_signed_out_elsewhere_is_told_once_clearly_and_kept_nowhere(
    stage: Stage, get: Get
) -> None:
    auth = stage.signed_in()
    assert get(auth, stage.secure()) == 200
    stage.live.call(
        "POST", "/api/auth/logout", {"refreshToken": stage.kept()["refresh_token"]}
    )
    with pytest.raises(SessionRevoked):
        get(auth, stage.secure())
    assert not stage.file.exists()
    with pytest.raises(SignedOut):
        get(auth, stage.secure())


def test_a_copied_token_that_was_spent_elsewhere_ends_the_session(stage: Stage) -> None:
    auth = stage.signed_in()
    spent = {"refreshToken": stage.kept()["refresh_token"]}
    assert stage.live.call("POST", REFRESH, spent).code == "ok"
    stage.later()
    with pytest.raises(RefreshReused):
        auth.token()
    assert not stage.file.exists()


def test_a_sign_in_raises_what_the_server_says(stage: Stage) -> None:
    auth = stage.auth()
    with pytest.raises(InvalidCredentials):
        auth.login("admin", "not the password of admin")
    assert not stage.file.exists()
    away = Given(429, b'{"code": "throttled"}', (("Retry-After", "7"),))
    stage.middle.then("/api/auth/login", away, LOST, Given(404, b"nothing here"))
    with pytest.raises(Throttled) as told:
        auth.login("admin", PASSWORD)
    assert told.value.retry_after == 7
    for _ in range(2):
        with pytest.raises(Unreachable):
            auth.login("admin", PASSWORD)


def test_a_new_sign_in_ends_the_session_that_it_replaces(stage: Stage) -> None:
    auth = stage.signed_in()
    old = auth.token()
    auth.login("admin", PASSWORD)
    assert by_httpx2(auth, stage.secure()) == 200
    assert stage.live.call("GET", SECURE, access=old).code == "token_revoked"


def test_a_logout_ends_the_session_and_is_not_believed_before_it_did(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.client.runners.time.sleep", lambda _: None)
    auth = stage.signed_in()
    access = auth.token()
    stage.middle.then("/api/auth/logout", *[Given(503)] * 6)
    with pytest.raises(TryAgain):
        auth.logout()
    assert auth.token() == access
    auth.logout()
    assert stage.live.call("GET", SECURE, access=access).code == "token_revoked"
    assert not stage.file.exists()
    auth.logout()  # of nobody: nothing to do


# Where the token goes


@pytest.fixture
def elsewhere() -> Iterator[Middle]:
    with Middle() as other:
        yield other


@every_library
def test_the_token_goes_to_allowed_origins_and_nowhere_else(
    stage: Stage, elsewhere: Middle, get: Get
) -> None:
    auth = stage.signed_in()
    assert get(auth, f"{elsewhere.url}/anything") == 200
    assert "Authorization" not in elsewhere.seen[-1].headers
    auth = stage.auth(origins=[elsewhere.url])
    assert get(auth, f"{elsewhere.url}/anything?of=it") == 200
    token = elsewhere.seen[-1].headers["Authorization"]
    assert token == f"Bearer {auth.token()}"


def test_what_a_redirect_says_has_been_done_is_not_done_again(stage: Stage) -> None:
    """After a POST, what is refused is the page to which it led."""
    auth = stage.signed_in()
    stage.middle.then("/pay", Given(303, b"", (("Location", f"{stage.url}/paid"),)))
    refusal = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    stage.middle.then("/paid", Given(401, b'{"code": "token_expired"}', refusal))
    with httpx2.Client(auth=auth, verify=PLAIN, follow_redirects=True) as http:
        assert http.post(f"{stage.url}/pay", content=b"1").status_code == 401
    assert [one.path for one in stage.middle.seen if one.path == "/pay"] == ["/pay"]


@pytest.mark.parametrize("library", ["httpx2", "requests"])
def test_a_redirect_does_not_take_the_token_along(
    stage: Stage, elsewhere: Middle, library: str
) -> None:
    """Nor does a refusal there count as one of ours."""
    auth = stage.signed_in()
    stage.middle.then(
        "/moved", Given(307, b"", (("Location", f"{elsewhere.url}/there"),))
    )
    refusal = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    elsewhere.then("/there", Given(401, b'{"code": "token_expired"}', refusal))
    if library == "httpx2":
        with httpx2.Client(auth=auth, verify=PLAIN, follow_redirects=True) as http:
            status = http.get(f"{stage.url}/moved").status_code
    else:
        status = by_requests(auth, f"{stage.url}/moved")
    assert status == 401
    assert "Authorization" in stage.middle.seen[-1].headers
    assert [one.headers["Authorization"] for one in elsewhere.seen] == [None]
    assert not stage.middle.refreshes()


def test_a_redirected_refresh_takes_nothing_anywhere(
    stage: Stage, elsewhere: Middle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.client.runners.time.sleep", lambda _: None)
    auth = stage.signed_in()
    stage.later()
    away = Given(307, b"", (("Location", f"{elsewhere.url}/there"),))
    stage.middle.then(REFRESH, *[away] * 6)
    with pytest.raises(Unreachable):
        auth.token()
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "http://auth.example",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "ftp://auth.example",
        "https://ann:secret@auth.example",
        "https://auth.example?x=y",
        "auth.example",
        "",
    ],
)
def test_no_address_is_taken_to_which_a_token_would_go_in_clear(address: str) -> None:
    with pytest.raises(SettingsError):
        Auth(address)
    with pytest.raises(SettingsError):
        Auth("https://auth.example", origins=[address])
    for fine in ("http://localhost:8000", "http://[::1]", "https://auth.example/x/"):
        Auth(fine)


# Requests that cannot be repeated, refusals that are not about the token's age


def test_a_body_that_cannot_be_sent_twice_is_not(stage: Stage) -> None:
    """The session is refreshed all the same: made anew, the request works."""
    auth = stage.signed_in()
    auth.token()
    stage.expire()

    def stream() -> Iterator[bytes]:
        yield b'{"refreshToken": ""}'

    headers = {"Content-Type": "application/json", "Content-Length": "20"}
    url = f"{stage.url}/api/auth/logout-all"
    with (
        httpx2.Client(auth=auth, verify=PLAIN) as http,
        pytest.raises(TokenExpired, match="anew"),
    ):
        http.post(url, content=stream(), headers=headers)
    stage.expire()
    file = io.BytesIO(b"{}")
    with pytest.raises(TokenExpired):
        requests.post(url, data=file, auth=RequestsAuth(auth), timeout=PATIENCE)
    assert stage.generation() == 2
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        assert http.post(url, content=b"{}", headers={}).status_code == 200


def test_an_api_that_refuses_every_token_causes_no_rotation_each_time(
    stage: Stage,
) -> None:
    """One for another audience, say. Other refusals are the caller's at once."""
    auth = stage.signed_in()
    invalid = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    other = (("WWW-Authenticate", 'Bearer error="insufficient_user_authentication"'),)
    stage.middle.then(
        "/orders", Given(401, b"no", invalid), Given(401, b"no", other), Given(401)
    )
    for _ in range(3):
        assert by_httpx2(auth, f"{stage.url}/orders") == 401
    assert not stage.middle.refreshes()
    stage.later(10)
    stage.middle.then("/orders", Given(401, b"no", invalid), Given(401, b"no", invalid))
    assert by_httpx2(auth, f"{stage.url}/orders") == 401
    assert len(stage.middle.refreshes()) == 1


# Many at once


async def test_a_hundred_tasks_refresh_once(stage: Stage) -> None:
    auth = stage.signed_in(origins=[stage.live.url])
    url = stage.live.url + SECURE
    async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
        for expired in (stage.later, stage.expire):
            expired()
            answers = await asyncio.gather(*(http.get(url) for _ in range(100)))
            assert {answer.status_code for answer in answers} == {200}
    assert len(stage.middle.refreshes()) == 2
    assert stage.generation() == 2


@pytest.mark.parametrize("kept", [True, False])
def test_threads_and_event_loops_together_refresh_once(
    stage: Stage, *, kept: bool
) -> None:
    auth = stage.signed_in(**({} if kept else {"file": None}))
    stage.later()
    ways = [by_httpx2, by_async_httpx2, by_trio, by_requests] * 6
    with ThreadPoolExecutor(len(ways)) as pool:
        answers = list(pool.map(lambda get: get(auth, stage.secure()), ways))
    assert set(answers) == {200}
    assert len(stage.middle.refreshes()) == 1


async def test_a_task_that_is_cancelled_in_its_refresh_takes_nobody_with_it(
    stage: Stage,
) -> None:
    auth = stage.signed_in()
    stage.later()
    arrived, go_on = threading.Event(), threading.Event()

    def hold(_: Seen) -> None:
        arrived.set()
        go_on.wait(PATIENCE)

    stage.middle.then(REFRESH, hold)
    first = asyncio.create_task(auth.atoken())
    await asyncio.to_thread(arrived.wait, PATIENCE)
    others = [asyncio.create_task(auth.atoken()) for _ in range(5)]
    await asyncio.sleep(0)
    others.pop().cancel()
    first.cancel()
    await asyncio.wait([first])
    go_on.set()
    assert len({await other for other in others}) == 1
    assert len({one.key for one in stage.middle.refreshes()}) == 1
    assert stage.generation() == 1


def test_while_one_refreshes_ahead_nobody_waits(stage: Stage) -> None:
    auth = stage.signed_in()
    stage.later(0.92 * LIFE)
    arrived, go_on = threading.Event(), threading.Event()

    def hold(_: Seen) -> None:
        arrived.set()
        go_on.wait(PATIENCE)

    stage.middle.then(REFRESH, hold)
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(auth.token)
        arrived.wait(PATIENCE)
        old = auth.token()
        # Another client, too: a process that shares the file.
        other = stage.auth().token()
        go_on.set()
        new = refreshing.result(PATIENCE)
    assert old == other != new
    assert generation_of(stage.kept()["refresh_token"]) == 1
