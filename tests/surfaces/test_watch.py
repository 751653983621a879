"""The watch itself: what the tests of this folder rely on does see."""

from __future__ import annotations

import socket

import pytest

from tests.surfaces.answers import Answer, faults_of
from tests.surfaces.conftest import leaks
from tests.surfaces.stage import Stage

_BODY = (
    b'{"type":"urn:x","title":"Unauthorized","status":401,'
    b'"detail":"no","code":"token_invalid"}'
)
_OAUTH = b'{"error":"invalid_grant","error_description":"no"}'
_KIND = ("content-type", "application/problem+json")
_STORE = ("cache-control", "no-store")
_ASKS = ("www-authenticate", 'Bearer realm="watchword", error="invalid_token"')
_GOOD = [_KIND, _STORE, _ASKS]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (Answer(401, _GOOD, _BODY), ""),
        (Answer(200, _GOOD, b"{}"), "200 ok, not 401"),
        (Answer(500, _GOOD, _BODY), "500 token_invalid, not 401"),
        (Answer(401, _GOOD, _BODY.replace(b"en_in", b"en in")), "not 401"),
        (Answer(401, [_KIND, _ASKS], _BODY), "may be stored"),
        (Answer(401, [_KIND, _STORE], _BODY), "challenges with ''"),
        (Answer(401, [*_GOOD, _ASKS, _ASKS], _BODY), "challenges with"),
        (Answer(401, [_STORE, _ASKS], _BODY), "is "),
        (Answer(401, _GOOD, _BODY.replace(b'"status":401', b'"status":400')), "400"),
        (Answer(401, _GOOD, _BODY[:-1] + b',"more":1}'), "has the members"),
        (Answer(401, [*_GOOD, ("content-length", "1")], _BODY), "a wrong length"),
        (Answer(401, _GOOD, _BODY.replace(b"no", b"a-stolen-token")), "says again"),
        (Answer(401, [*_GOOD, ("x", "a-stolen-token")], _BODY), "says again"),
        (Answer(401, [*_GOOD, ("x", "evil.example")], _BODY), "says again"),
        (Answer(401, _GOOD, _BODY, "POST", "/oauth/token"), "is application/problem"),
        (Answer(400, _GOOD[1:], _OAUTH, "POST", "/oauth/token"), "not 401"),
    ],
)
def test_what_is_wrong_with_an_answer_is_seen(answer: Answer, seen: str) -> None:
    faults = list(faults_of(answer, ["401 token_invalid"], "a-stolen-token"))
    assert bool(faults) is bool(seen)
    assert seen in "; ".join(faults)


async def test_what_leaked_is_found(stage: Stage) -> None:
    """Whole or in part, but for ids."""
    victim = await stage.sign_in()
    stage.thrown += ["a-thrown-text-of-some-length", victim.session]
    for logged, count in {
        f"refresh {victim.refresh} 401": 1,
        f"Bearer {victim.access}": 1,
        f"client {stage.secret('shop')}": 1,
        "n a-thrown-text-of- n": 1,
        f"session {victim.session} ended": 0,
        "POST /api/auth/refresh 401 refresh_invalid": 0,
    }.items():
        assert len(leaks(logged, stage)) == count, logged


def test_reaching_out_is_noticed(no_way_out: list[str]) -> None:
    with socket.socket() as one, pytest.raises(AssertionError, match="reach out"):
        one.connect(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="reach out"):
        socket.getaddrinfo("evil.example", 443)
    assert len(no_way_out) == 2
    no_way_out.clear()
