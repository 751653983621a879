"""What a hostile or broken issuer answers with: never a crash, never a request more."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from tests.patience import PATIENCE, until
from tests.verify.minting import AUDIENCE, ISSUER, Mint, private_key
from watchword.errors import SettingsError, StoreUnavailable, TokenInvalid
from watchword.testing import ManualClock
from watchword.verify import SyncVerifier, Verifier, bounds
from watchword.verify.discovery import metadata_url

METADATA = "/.well-known/oauth-authorization-server"
KEYS = f"{ISSUER}/keys"
FEED = f"{ISSUER}/revocations"
SECRET = "a-secret-that-nobody-shows"

Respond = Callable[[httpx2.Request], httpx2.Response]


class Issuer:
    """Honest but for one address; what it was asked is counted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.mint = Mint(private_key("ES256"), "ES256", now=self.clock.now)
        self.asked: list[httpx2.Request] = []
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "jwks_uri": KEYS,
            "watchword_revocations_endpoint": FEED,
        }
        self.instead: dict[str, Respond] = {}

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path = request.url.path
        if path in self.instead:
            return self.instead[path](request)
        if path == METADATA:
            return httpx2.Response(200, json=self.metadata)
        if path == "/keys":
            return httpx2.Response(200, json={"keys": [self.mint.key.jwk()]})
        return httpx2.Response(404)

    def verifier(self, **given: Any) -> Verifier:
        # A client of the caller's that would follow, and says who it is everywhere.
        http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(self.respond),
            follow_redirects=True,
            auth=("somebody", "else"),
        )
        return Verifier(
            ISSUER,
            AUDIENCE,
            http=http,
            clock=self.clock,
            monotonic=lambda: self.clock.now,
            **given,
        )


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def answer(status: int = 200, body: Any = b"", **headers: str) -> Respond:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return lambda _: httpx2.Response(status, content=raw, headers=given)


def endless(_: httpx2.Request) -> httpx2.Response:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    return httpx2.Response(
        200, content=body(), headers={"content-type": "application/json"}
    )


def broken(_: httpx2.Request) -> httpx2.Response:
    raise ValueError(SECRET)


ELSEWHERE = {"location": "https://evil.example/keys"}
HOSTILE: dict[str, Respond] = {
    "a redirect": answer(302, **ELSEWHERE),
    "a permanent redirect": answer(308, **ELSEWHERE),
    "an error": answer(500, {"keys": []}),
    "nothing": answer(204),
    "an empty answer": answer(),
    "HTML": answer(body=b"<html>sign in</html>", content_type="text/html"),
    "HTML that says JSON": answer(body=b"<html>sign in</html>"),
    "JSON that says HTML": answer(body={"keys": []}, content_type="text/html"),
    "a list": answer(body=[]),
    "a huge answer": answer(body=b" " * (bounds.METADATA_MAX + 1)),
    "an endless answer": endless,
    "a compressed answer": answer(body=b"\x1f\x8b", content_encoding="gzip"),
    "deep nesting": answer(body=b"[" * 60_000),
    "names twice": answer(body=b'{"keys":[],"keys":[]}'),
    "not UTF-8": answer(body=b'{"keys":"\xff"}'),
    "a fault of the client library": broken,
}


@pytest.mark.parametrize("path", [METADATA, "/keys"])
@pytest.mark.parametrize("name", HOSTILE)
async def test_without_keys_nobody_is_signed_out(
    issuer: Issuer, name: str, path: str
) -> None:
    """503, to be tried again; no address but the issuer's is asked; nothing is told."""
    issuer.instead[path] = HOSTILE[name]
    async with issuer.verifier() as verifier:
        with pytest.raises(StoreUnavailable) as caught:
            await verifier.verify(issuer.mint.token())
        assert type(caught.value) is StoreUnavailable
        with pytest.raises(StoreUnavailable):
            await verifier.verify(issuer.mint.token())
        health = verifier.health()
    assert {request.url.host for request in issuer.asked} == {"auth.example"}
    assert all("authorization" not in request.headers for request in issuer.asked)
    assert not health.ready
    assert health.keys_error is not None
    assert SECRET not in health.keys_error
    assert "<html>" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": f"{ISSUER}/"},
        {"issuer": "https://evil.example"},
        {"issuer": "https://AUTH.example"},
        {"issuer": [ISSUER]},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 1},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "http://auth.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:password@auth.example/keys"},
        {"jwks_uri": "https://auth.example/ keys"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "https://auth.example:x/keys"},
        {"watchword_revocations_endpoint": "http://auth.example/revocations"},
    ],
)
async def test_metadata_that_is_not_the_issuers_is_not_believed(
    issuer: Issuer, changes: dict[str, Any]
) -> None:
    issuer.metadata |= changes
    async with issuer.verifier() as verifier:
        with pytest.raises(StoreUnavailable):
            await verifier.verify(issuer.mint.token())
    assert {request.url.path for request in issuer.asked} == {METADATA}


@pytest.mark.parametrize("name", HOSTILE)
async def test_keys_that_are_known_stay_while_the_issuer_is_away(
    issuer: Issuer, name: str
) -> None:
    async with issuer.verifier() as verifier:
        assert (await verifier.verify(issuer.mint.token())).sid == "s"
        issuer.instead["/keys"] = HOSTILE[name]
        issuer.clock.advance(bounds.JWKS_ASK)
        with pytest.raises(TokenInvalid) as caught:  # has the keys asked for
            await verifier.verify(issuer.mint.with_header(kid="unknown"))
        assert type(caught.value) is TokenInvalid
        assert verifier.health().keys_error is not None
        assert (await verifier.verify(issuer.mint.with_claims(jti="2"))).sid == "s"


async def test_a_flood_of_unknown_keys_asks_once(issuer: Issuer) -> None:
    async with issuer.verifier() as verifier:
        assert (await verifier.verify(issuer.mint.token())).sid == "s"
        for wait, fetches in ((0, 0), (bounds.JWKS_ASK, 1), (0, 0)):
            issuer.clock.advance(wait)
            issuer.asked.clear()
            flood = [issuer.mint.with_header(kid=f"k{n}") for n in range(500)]
            refused = await asyncio.gather(
                *map(verifier.verify, flood), return_exceptions=True
            )
            assert {type(one) for one in refused} == {TokenInvalid}
            assert len(issuer.asked) == 2 * fetches  # metadata, and keys


async def test_a_token_with_keys_of_its_own_makes_it_ask_nobody(issuer: Issuer) -> None:
    async with issuer.verifier() as verifier:
        assert (await verifier.verify(issuer.mint.token())).sid == "s"
        issuer.clock.advance(bounds.JWKS_ASK)
        issuer.asked.clear()
        for name in ("jku", "x5u", "jwk"):
            token = issuer.mint.with_header(**{name: "https://evil.example/keys"})
            assert (await verifier.verify(token)).sid == "s"
    assert not issuer.asked


FEEDS: dict[str, Respond] = {
    **{name: respond for name, respond in HOSTILE.items() if name != "a huge answer"},
    "a refused client": answer(401, {"code": "invalid_client"}),
    "a huge answer": answer(body=b" " * (bounds.FEED_ANSWER_MAX + 1)),
    "something else": answer(body={"cursor": "x"}),
}


@pytest.mark.parametrize("cut_off", ["closed", "open"])
@pytest.mark.parametrize("name", FEEDS)
async def test_a_feed_that_cannot_be_read_lets_nothing_pass(
    issuer: Issuer, name: str, cut_off: str
) -> None:
    """Neither `closed` nor `open`: nobody knows yet who signed out."""
    issuer.instead["/revocations"] = FEEDS[name]
    async with issuer.verifier(feed=("api", SECRET), cut_off=cut_off) as verifier:
        with pytest.raises(StoreUnavailable) as caught:
            await verifier.verify(issuer.mint.token())
        assert type(caught.value) is StoreUnavailable
        health = verifier.health()
    assert (health.ready, health.feed) == (False, "starting")
    assert health.feed_error is not None
    assert SECRET not in health.feed_error + str(caught.value)
    shown = [r.url.path for r in issuer.asked if "authorization" in r.headers]
    assert set(shown) == {"/revocations"}
    assert {request.url.host for request in issuer.asked} == {"auth.example"}


async def test_an_issuer_without_a_feed_is_told_in_health(issuer: Issuer) -> None:
    del issuer.metadata["watchword_revocations_endpoint"]
    async with issuer.verifier(feed=("api", SECRET)) as verifier:
        with pytest.raises(StoreUnavailable):
            await verifier.verify(issuer.mint.token())
        error = verifier.health().feed_error
    assert error is not None
    assert "has none" in error


async def test_who_waits_for_keys_at_the_end_is_told_and_not_cancelled(
    issuer: Issuer,
) -> None:
    """And who gives up waiting takes nothing from the others."""
    asked = asyncio.Event()

    async def hangs() -> httpx2.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    issuer.instead[METADATA] = lambda _: hangs()  # type: ignore[assignment,return-value]
    async with issuer.verifier() as verifier:
        waiting, gone = (
            asyncio.create_task(verifier.verify(issuer.mint.token())) for _ in range(2)
        )
        await asked.wait()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert not waiting.done()
    with pytest.raises(StoreUnavailable):
        await waiting
    assert len(issuer.asked) == 1


async def test_one_that_does_not_run_knows_nothing(issuer: Issuer) -> None:
    with pytest.raises(StoreUnavailable, match="async with"):
        await issuer.verifier().verify(issuer.mint.token())


async def test_a_verifier_without_a_feed_says_once_when_a_logout_counts(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, for it is what an operator has to know; none where a feed is given."""
    async with issuer.verifier() as verifier:
        for _ in range(3):
            await verifier.verify(issuer.mint.token())
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "only when the access token expires" in said
    assert "--right feed" in said
    caplog.clear()
    async with issuer.verifier(feed=("orders-api", SECRET)):
        pass
    assert "no feed" not in caplog.text


@pytest.mark.parametrize(
    "issuer_name",
    [
        "",
        "auth.example",
        "http://auth.example",
        "ftp://auth.example",
        "https://user@auth.example",
        "https://auth.example?x",
        "https://auth.example/#",
        "https://auth.example/ x",
        "https://auth.example:99999",
        "http://127.0.0.1.evil.example",
        "https://[::1",
    ],
)
def test_what_cannot_be_an_issuer_is_refused_at_once(issuer_name: str) -> None:
    with pytest.raises(SettingsError, match="issuer"):
        Verifier(issuer_name)


def test_only_closed_and_open_are_answers_to_being_cut_off() -> None:
    with pytest.raises(SettingsError, match="cut_off"):
        Verifier(ISSUER, cut_off="maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("https://h.example", f"https://h.example{METADATA}"),
        ("https://h.example/", f"https://h.example{METADATA}"),
        ("https://h.example/t1", f"https://h.example{METADATA}/t1"),
        ("http://127.0.0.1:80/a/b", f"http://127.0.0.1:80{METADATA}/a/b"),
        ("http://localhost:8000", f"http://localhost:8000{METADATA}"),
        ("http://[::1]:8000", f"http://[::1]:8000{METADATA}"),
    ],
)
def test_the_metadata_is_between_host_and_path(name: str, place: str) -> None:
    assert metadata_url(name) == place


def test_an_issuer_that_is_away_is_told_with_its_reason() -> None:
    """Not with the name of a class of the HTTP client."""
    with SyncVerifier("http://127.0.0.1:9") as verifier:
        until(lambda: verifier.health().keys_error)
        assert "no answer: nothing listens there" in str(verifier.health().keys_error)


def test_the_log_of_a_start_may_come_back_to_what_starts() -> None:
    """A handler that verifies is answered, and no thread waits for itself."""
    verifier = SyncVerifier("http://127.0.0.1:9")
    mint = Mint(private_key("ES256"), "ES256", now=int(time.time()))
    told: list[type[Exception]] = []

    class Asking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if told:  # of the start alone: what is told later may come at the end
                return
            for token in ("no.jwt.atall", mint.token()):
                with pytest.raises((TokenInvalid, RuntimeError)) as raised:
                    verifier.verify(token)
                told.append(raised.type)

    handler = Asking()
    logger = logging.getLogger("watchword")
    logger.addHandler(handler)
    using = threading.Thread(target=verifier.health, daemon=True)
    try:
        using.start()
        using.join(PATIENCE)
        assert not using.is_alive()
        verifier.close()
    finally:
        logger.removeHandler(handler)
    assert told == [TokenInvalid, RuntimeError]
