"""Processes that share a session file, and those that are killed."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest

from tests.client.conftest import LIFE, Stage
from tests.client.crowd import crowd
from tests.client.middle import LOST, REFRESH, Given, Seen
from tests.patience import PATIENCE


@pytest.mark.parametrize("arrives", [True, False])
def test_killed_between_request_and_answer_the_next_process_goes_on(
    stage: Stage, *, arrives: bool
) -> None:
    """Whether the server ever saw the request or not: the same token and key again."""
    stage.signed_in()
    arrived, go_on = threading.Event(), threading.Event()

    def hold(_: Seen) -> Given | None:
        arrived.set()
        go_on.wait(PATIENCE)
        return None if arrives else Given(500)

    stage.middle.then(REFRESH, hold)
    stage.later()
    how = {"processes": 1, "tasks": 1}
    with crowd(stage.url, stage.live.url, stage.file, **how) as clients:
        clients.tell(stage.ahead)
        assert arrived.wait(PATIENCE)
        clients.processes[0].kill()
        clients.processes[0].wait()
    go_on.set()
    with crowd(stage.url, stage.live.url, stage.file, **how) as clients:
        assert clients.ask(stage.ahead) == Counter({"200": 1})
    first, second = stage.middle.refreshes()
    assert (first.key, first.body) == (second.key, second.body)
    assert stage.generation() == 1


def test_a_crowd_goes_through_many_expiries_with_a_fifth_of_the_answers_lost(
    stage: Stage,
) -> None:
    """No logout, no error, and one rotation for each expiry.

    In turn the clients know that their token is over, and only the server knows.
    """
    stage.signed_in()
    chance = random.Random(5)
    stage.middle.then(
        REFRESH, *(LOST if chance.random() < 0.2 else None for _ in range(200))
    )
    with crowd(stage.url, stage.live.url, stage.file, processes=4, tasks=12) as clients:
        for expiry in range(1, 17):
            if expiry % 2:
                stage.later(LIFE)
            else:
                stage.expire()
            assert clients.ask(stage.ahead) == Counter({"200": 48})
            assert stage.generation() == expiry
    lost = len(stage.middle.refreshes()) - 16
    assert lost > 0
