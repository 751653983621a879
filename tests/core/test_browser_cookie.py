"""The cookie of a browser's sign-in: one verdict for each generation and instant."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from watchword.core.actor import EndReason
from watchword.core.browser_cookie import judge_cookie, made_at
from watchword.core.limits import BROWSER_GRACE, REWIND_LIMIT, SIGN_IN_IDLE
from watchword.core.policies import PAGES, SIGN_IN, Policies
from watchword.core.refresh_token import hash_of
from watchword.core.rotation import End, Presented, Refuse, Rotate, Same, Verdict
from watchword.core.session import (
    Authenticated,
    Policy,
    Session,
    SessionOptions,
)
from watchword.errors import (
    RefreshInvalid,
    SessionExpired,
    SessionRevoked,
    WatchwordError,
)

NOW = 1_800_000_000_000
SECRET = bytes(range(20))


def a_row(**fields: Any) -> Session:
    """A session of a browser that has signed in four times, for the last time now."""
    started = Session.started(
        Authenticated.by_password(bytes(16), at=NOW),
        SessionOptions(client_id=PAGES, cookie=True),
        SIGN_IN,
        randomness=bytes(10),
        secret_hash=hash_of(SECRET),
        retry_hash=bytes(32),
        address="",
        user_agent="",
        now=NOW,
    )
    made: dict[str, Any] = {"generation": 4, "retry_hash": made_at(NOW)}
    return msgspec.structs.replace(started, **{**made, **fields})


def shown(generation: int, secret: bytes = SECRET) -> Presented:
    """What the cookie of that generation says."""
    return Presented(a_row().id, generation, secret, PAGES)


REUSE, RESTORED = End(EndReason.REUSE), End(EndReason.RESTORED)


@pytest.mark.parametrize(
    ("generation", "later", "verdict"),
    [
        (4, 0, Same()),
        (4, SIGN_IN_IDLE - 1, Same()),
        (4, SIGN_IN_IDLE, Refuse(SessionExpired)),
        (3, BROWSER_GRACE - 1, Same()),
        (3, 1 - BROWSER_GRACE, Same()),
        (3, BROWSER_GRACE, REUSE),
        (3, -BROWSER_GRACE, REUSE),
        (2, 0, REUSE),
        (0, 0, REUSE),
        (5, 0, Rotate(5, rewound=True)),
        (4 + REWIND_LIMIT, BROWSER_GRACE, Rotate(4 + REWIND_LIMIT, rewound=True)),
        (5 + REWIND_LIMIT, 0, RESTORED),
    ],
)
def test_the_generation_decides(generation: int, later: int, verdict: Verdict) -> None:
    for row in (
        a_row(),
        a_row(auth_time=NOW - SIGN_IN_IDLE),  # the last proof moved nothing
        a_row(retry_hash=b"r" * 32),  # an older server made the cookie
    ):
        assert judge_cookie(row, shown(generation), SIGN_IN, NOW + later) == verdict


@pytest.mark.parametrize(
    ("fields", "secret", "error"),
    [
        ({}, bytes(20), RefreshInvalid),
        ({"client_id": "first-party"}, SECRET, RefreshInvalid),
        ({"revoked_at": NOW}, SECRET, SessionRevoked),
    ],
    ids=["another secret", "another client", "ended"],
)
def test_what_is_no_live_session_of_the_pages_is_refused_and_ends_nothing(
    fields: dict[str, Any], secret: bytes, error: type[WatchwordError]
) -> None:
    """Whatever the generation: a guess must not be able to end a session."""
    for generation in (0, 4, 99):
        row = a_row(**fields)
        verdict = judge_cookie(row, shown(generation, secret), SIGN_IN, NOW)
        assert verdict == Refuse(error)
    assert judge_cookie(None, shown(4), SIGN_IN, NOW) == Refuse(RefreshInvalid)


@pytest.mark.parametrize("factor", [0.5, 2])
def test_a_list_leaves_out_no_live_session_whichever_policy_is_longer(
    factor: float,
) -> None:
    idle, absolute = SIGN_IN.refresh_idle, SIGN_IN.refresh_absolute
    apps = Policy(
        refresh_idle=int(idle * factor), refresh_absolute=int(absolute * factor)
    )
    policies = Policies(apps)
    for client, policy in (("first-party", apps), (PAGES, SIGN_IN)):
        assert policies.of(client) == policy
        for at, begun in ((policy.refresh_idle, 0), (0, policy.refresh_absolute)):
            row = a_row(
                client_id=client,
                rotated_at=NOW - at + 1,
                authenticated_at=NOW - begun + 1,
            )
            row = msgspec.structs.replace(row, expires_at=2 * NOW)
            row = msgspec.structs.replace(row, idle_expires_at=2 * NOW)
            assert policies.maybe_alive(NOW).includes(row)
            assert row.ends_at(policy) > NOW
