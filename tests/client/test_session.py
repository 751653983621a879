"""The conversation of a refresh, without a network: at every step somebody may die."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from watchword.client.answers import Answer, Outcome
from watchword.client.auth_flow import SendApiRequest
from watchword.client.clock import Clocks, Instant, Random
from watchword.client.session import (
    Call,
    Issuer,
    Keep,
    Request,
    Send,
    Wait,
)
from watchword.client.stored import (
    REFRESH_FROM,
    REFRESH_TO,
    STALE,
    RefreshSchedule,
    StoredSession,
)
from watchword.errors import InvalidRequest, RefreshError, TryAgain, Unreachable
from watchword.testing import SeededEntropy

NOW: Final = 1_800_000_000.0
STORED: Final = StoredSession(
    issuer="https://auth.example",
    session_id="01234567-89ab-7cde-8f01-23456789abcd",
    scheme="Bearer",
    access_token="access-0",
    life=120,
    fetched_at=NOW,
    refresh_token="refresh-0",
)
HERE: Final = Instant(1000, NOW)


class Model:
    """The rotation rule as a client meets it (`core/rotation.py`), without a grace."""

    def __init__(self) -> None:
        self.generation = 0
        self.key: str | None = None
        self.ended = False

    def refresh(self, request: Request) -> Answer:
        token = json.loads(request.body)["refreshToken"]
        presented = int(token.removeprefix("refresh-"))
        key = request.headers["Idempotency-Key"]
        if self.ended:
            return problem(401, "session_revoked")
        if presented == self.generation:
            if key == self.key:
                return problem(400, "retry_key_reused")
            self.generation, self.key = presented + 1, key
        elif presented != self.generation - 1 or key != self.key:
            self.ended = True
            return problem(401, "refresh_reused")
        tokens = {
            "accessToken": f"access-{self.generation}",
            "expiresIn": 120,
            "refreshToken": f"refresh-{self.generation}",
            "sessionId": STORED.session_id,
            "tokenType": "Bearer",
        }
        return Answer(200, {}, json.dumps(tokens).encode())


def problem(status: int, code: str, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps({"code": code, "detail": "why"}).encode())


class Died(Exception):
    pass


class Disk:
    """What one process leaves behind for the next."""

    def __init__(self) -> None:
        self.stored: StoredSession | None = STORED

    def run(self, issuer: Issuer, model: Model, fates: Iterator[str]) -> None:
        """One process that refreshes; each of its steps meets one of the fates."""
        assert self.stored is not None
        conversation = issuer.refresh(self.stored, None)
        outcome: Any = None
        try:
            while True:
                step = conversation.send(outcome)
                fate = next(fates, "fine")
                if fate == "killed before":
                    raise Died
                outcome = None
                if isinstance(step, Keep):
                    self.stored = step.stored
                elif isinstance(step, Send):
                    answer = model.refresh(step.request)
                    outcome = None if fate == "lost" else answer
                if fate == "killed after":
                    raise Died
        except StopIteration:
            return


@pytest.mark.parametrize("length", [5, 6])
def test_whoever_dies_wherever_the_session_goes_on(length: int) -> None:
    """All fates of so many steps, each process going on from what the last one left."""
    fates = ("fine", "lost", "killed before", "killed after")
    for course in itertools.product(fates, repeat=length):
        random = Random(SeededEntropy("".join(course)))
        issuer = Issuer(STORED.issuer, Clocks(lambda: 0, lambda: NOW), random)
        disk, model, left = Disk(), Model(), iter(course)
        for _ in range(length + 2):
            try:
                disk.run(issuer, model, left)
            except Died:
                continue
        assert not model.ended, course
        assert disk.stored is not None
        assert disk.stored.refresh_token == f"refresh-{model.generation}", course
        assert disk.stored.retry_key is None, course


# What an answer means: what is raised, what is still held, whether it was asked again.
GARBAGE: Final = [
    Answer(200, {}, b"<html>"),
    Answer(200, {}, b"{}"),
    Answer(200, {}, b"\xff"),
    Answer(401, {}, b""),
    Answer(403, {}, b"[]"),
    Answer(407, {}, b"{}"),
    Answer(500, {}, b'{"code": "internal_error"}'),
    Answer(503, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, b""),
    problem(429, "throttled", **{"retry-after": "2"}),
    problem(503, "overloaded", **{"retry-after": "99"}),
    problem(503, "store_unavailable", **{"retry-after": "9" * 99}),
    None,
]
HOSTILE: Final[list[dict[str, Any]]] = [
    {"accessToken": "a\r\nX-Evil: 1"},
    {"accessToken": "ä"},
    {"refreshToken": "a\x00"},
    {"expiresIn": 0},
    {"expiresIn": -1},
    {"tokenType": "Basic"},
]


def tokens(**changes: Any) -> Answer:
    answer = Model().refresh(Request("", b'{"refreshToken": "refresh-0"}', KEYED))
    return Answer(200, {}, json.dumps(json.loads(answer.body) | changes).encode())


KEYED: Final = {"Idempotency-Key": "drawn-for-this-refresh"}


def refresh(*answers: Outcome) -> tuple[list[Any], BaseException | None]:
    """The steps, and what is raised where these answers come and then no others."""
    random = Random(SeededEntropy())
    issuer = Issuer(STORED.issuer, Clocks(lambda: 0, lambda: NOW), random)
    conversation = issuer.refresh(STORED, None)
    coming = iter(answers)
    steps: list[Any] = []
    outcome: Any = None
    try:
        while True:
            steps.append(conversation.send(outcome))
            outcome = next(coming, None) if isinstance(steps[-1], Send) else None
    except StopIteration:
        return steps, None
    except Exception as error:  # noqa: BLE001 - what it is, is the question
        return steps, error


@pytest.mark.parametrize("answer", [*GARBAGE, *(tokens(**one) for one in HOSTILE)])
def test_no_answer_but_one_of_the_servers_own_ends_a_session(
    answer: Answer | None,
) -> None:
    steps, error = refresh(*[answer] * 6)
    assert isinstance(error, TryAgain)
    kept = [step.stored for step in steps if isinstance(step, Keep)]
    assert [stored and stored.refresh_token for stored in kept] == [
        STORED.refresh_token
    ]
    sent = [step.request for step in steps if isinstance(step, Send)]
    assert {request.headers["Idempotency-Key"] for request in sent} == {
        stored and stored.retry_key for stored in kept
    }
    assert sum(step.seconds for step in steps if isinstance(step, Wait)) < 60


def test_a_certificate_that_is_not_trusted_is_asked_once_and_the_session_kept() -> None:
    """It does not change while a caller waits: the reason is told at once."""
    steps, error = refresh(Unreachable("It has expired.", retry_after=60))
    assert isinstance(error, Unreachable)
    assert str(error) == "It has expired."
    assert sum(isinstance(step, Send) for step in steps) == 1
    assert Keep(None) not in steps


@pytest.mark.parametrize(
    "code", ["refresh_reused", "refresh_invalid", "session_expired", "session_revoked"]
)
def test_a_session_that_is_over_is_forgotten_and_not_asked_for_again(code: str) -> None:
    steps, error = refresh(problem(401, code))
    assert isinstance(error, RefreshError)
    assert error.code == code
    assert steps[-1] == Keep(None)
    assert sum(isinstance(step, Send) for step in steps) == 1


@pytest.mark.parametrize(
    ("age", "usable"),
    [(0, True), (60, True), (115, False), (120, False), (1e9, False), (-1, False)],
)
def test_a_token_from_another_process_is_only_used_where_the_clocks_agree(
    age: float, *, usable: bool
) -> None:
    """One from the future is as good as expired: the wall clock was set."""
    due = RefreshSchedule.of(STORED, age, HERE, Random(SeededEntropy()))
    assert (HERE.steady - due.since.steady < due.stale) is usable
    assert HERE.wall - due.since.wall == HERE.steady - due.since.steady


def test_clients_that_began_together_do_not_come_back_together() -> None:
    random = Random(SeededEntropy())
    instants = {RefreshSchedule.of(STORED, 0, HERE, random).refresh for _ in range(100)}
    assert len(instants) > 90
    assert min(instants) >= REFRESH_FROM * STORED.life
    assert max(instants) <= REFRESH_TO * STORED.life < STALE * STORED.life


def test_what_was_under_way_is_brought_to_its_end_at_once() -> None:
    pending = msgspec.structs.replace(STORED, retry_key="drawn")
    assert RefreshSchedule.of(pending, 1, HERE, Random(SeededEntropy())).refresh == 0


def test_what_is_no_text_is_refused_before_it_is_sent() -> None:
    """A command line may hold bytes that are no UTF-8."""
    issuer = Issuer(STORED.issuer, Clocks(lambda: 0, lambda: NOW), Random())
    with pytest.raises(InvalidRequest):
        next(issuer.begin(Call("login", {"username": "ann\udcff"}), None, None))


def test_no_secret_is_in_a_repr() -> None:
    stored = msgspec.structs.replace(STORED, retry_key="drawn-key", key="PRIVATE KEY")
    sent = Request(STORED.issuer, b"refresh-0", {"Idempotency-Key": "drawn-key"})
    got = (
        tokens(),
        Answer(200, {"x": "access-0"}, b"refresh-0"),
        SendApiRequest({"A": "access-0"}),
    )
    assert "0" not in f"{sent}{got}".replace("200", "")
    for shown in (
        repr(stored),
        str(stored),
        repr([stored]),
        repr(stored.__rich_repr__()),
    ):
        for secret in ("access-0", "refresh-0", "drawn-key", "PRIVATE"):
            assert secret not in shown
