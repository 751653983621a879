"""The rule for a code whose session is there: the request that made it, or a replay."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from watchword.core.actor import EndReason
from watchword.core.code import CodeGrant, judge_code, mark_of, secret_of, session_of
from watchword.core.limits import (
    BROWSER_GRACE,
    CODE_LIFE,
    DAY,
    REFRESH_ABSOLUTE,
    REFRESH_IDLE,
)
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Verdict,
    judge,
    retry_hash,
)
from watchword.core.session import (
    BROWSER,
    STRICT,
    Authenticated,
    RequestedToken,
    Session,
    SessionOptions,
)
from watchword.errors import (
    CodeInvalid,
    InvalidScope,
    InvalidTarget,
    RefreshInvalid,
    WatchwordError,
)

NOW: Final = 1_700_000_000_000
SIGNED_IN: Final = NOW - DAY
KEY, OTHER_KEY = "the-key-of-this-exchange", "another-key-altogether"
JKT, OTHER_JKT = "thumbprint", "another"
HERE: Final = "192.0.2.7"
REUSED: Final = End(EndReason.CODE_REUSED)
GRANT: Final = CodeGrant(
    session_id=b"i" * 16,
    seed=b"r" * 20,
    at=NOW - CODE_LIFE,
    authenticated=Authenticated(b"a" * 16, (), 0, ("pwd",), "aal1", SIGNED_IN),
    root=b"b" * 16,
    root_mark=b"m" * 32,
    client_id="app",
    redirect_hash=b"h" * 32,
    challenge="c" * 43,
    nonce="",
    scope=("read", "write"),
    resources=("https://api.example",),
    jkt="",
)
SECRET: Final = secret_of(GRANT.seed, "v" * 43)


def shown(jkt: str | None = None, **fields: Any) -> Presented:
    values = {
        "session_id": GRANT.session_id,
        "generation": 0,
        "secret": SECRET,
        "client_id": "app",
        "retry_key": KEY,
        "requested": RequestedToken(jkt=jkt),
        "address": HERE,
    }
    return Presented(**{**values, **fields})


def made(
    jkt: str | None = None,
    *,
    proved: str | None = None,
    at: int = SIGNED_IN,
    **fields: Any,
) -> Session:
    """A session that a code has just made, of the key `jkt`, by a proof of `proved`.

    Its user has signed in `at` that instant.
    """
    options = SessionOptions(
        client_id="app",
        grace=BROWSER_GRACE,
        scope=GRANT.scope,
        audience=GRANT.resources,
        jkt=jkt,
        started_from=GRANT.root,
    )
    session = session_of(
        GRANT,
        msgspec.structs.replace(GRANT.authenticated, at=at),
        options,
        STRICT,
        shown(jkt or proved),
        user_agent="",
        now=NOW,
    )
    return msgspec.structs.replace(session, **fields)


def judged(row: Session, presented: Presented | None = None, now: int = NOW) -> Verdict:
    return judge_code(row, presented or shown(), STRICT, now)


@pytest.mark.parametrize(
    ("row", "presented", "now", "verdict"),
    [
        (made(), shown(), NOW, Retry()),
        (made(), shown(), NOW + CODE_LIFE, Retry()),
        (made(), shown(), NOW - CODE_LIFE, Retry()),
        (made(), shown(), NOW + CODE_LIFE + 1, REUSED),
        (made(), shown(), NOW - CODE_LIFE - 1, REUSED),
        # Another key, or none, from the very same place: there is no grace.
        (made(), shown(retry_key=OTHER_KEY), NOW, REUSED),
        (made(), shown(retry_key=None), NOW, REUSED),
        # The secret of a client may have been made anew; a replay is one all the same.
        (made(), shown(secret=b"x" * 20), NOW, REUSED),
        # Its client has refreshed, so it had the answer.
        (made(generation=2, rotated_at=NOW), shown(), NOW, REUSED),
        (made(retry_hash=retry_hash(SECRET, 1, KEY)), shown(), NOW, REUSED),
        # The key of DPoP is the same, or it is another request.
        (made(JKT), shown(JKT), NOW, Retry()),
        (made(JKT), shown(OTHER_JKT), NOW, REUSED),
        (made(JKT), shown(), NOW, REUSED),
        (made(), shown(JKT), NOW, REUSED),
        (made(proved=JKT), shown(JKT), NOW, Retry()),
        (made(proved=JKT), shown(OTHER_JKT), NOW, REUSED),
        (made(proved=JKT), shown(), NOW, REUSED),
        # What is over stays over, and is no theft.
        (made(revoked_at=NOW), shown(retry_key=OTHER_KEY), NOW, Refuse(CodeInvalid)),
        (made(expires_at=NOW), shown(), NOW, Refuse(CodeInvalid)),
    ],
)
def test_the_same_request_is_answered_again_and_any_other_ends_the_session(
    row: Session, presented: Presented, now: int, verdict: Verdict
) -> None:
    assert judged(row, presented, now) == verdict


@pytest.mark.parametrize(
    ("requested", "error"),
    [
        (RequestedToken(scope=("read",), resources=GRANT.resources), None),
        (RequestedToken(scope=("read", "admin")), InvalidScope),
        (RequestedToken(resources=("https://other.example",)), InvalidTarget),
    ],
)
def test_a_replay_cannot_hide_behind_what_it_asks_for(
    requested: RequestedToken, error: type[WatchwordError] | None
) -> None:
    """Only the request that made the session is told that it asks for too much."""
    asked = shown(requested=requested)
    assert judged(made(), asked) == (Retry() if error is None else Refuse(error))
    stolen = shown(requested=requested, retry_key=OTHER_KEY)
    assert judged(made(), stolen) == REUSED


def test_a_session_lives_from_its_users_sign_in() -> None:
    row = made()
    assert row.id == GRANT.session_id
    assert row.expires_at == SIGNED_IN + REFRESH_ABSOLUTE
    assert row.idle_expires_at == NOW + REFRESH_IDLE
    late = made(at=NOW - REFRESH_ABSOLUTE + DAY)
    assert late.idle_expires_at == late.expires_at == NOW + DAY
    # A policy that is longer later does not make it longer.
    longer = msgspec.structs.replace(STRICT, refresh_absolute=2 * REFRESH_ABSOLUTE)
    assert row.ends_at(longer) <= SIGNED_IN + REFRESH_ABSOLUTE


def test_its_first_refresh_token_is_that_of_generation_one() -> None:
    """One of generation 0 was never minted: its secret needs more than the code."""
    row = made()
    first = Presented(GRANT.session_id, 1, SECRET, "app", "a-key-of-the-refresh")
    assert row.generation == 1
    assert not isinstance(judge(row, first, BROWSER, NOW), Refuse | End)
    for guess in (GRANT.seed, secret_of(GRANT.seed, ""), bytes(20)):
        forged = Presented(GRANT.session_id, 0, guess, "app", KEY)
        assert judge(row, forged, STRICT, NOW) == Refuse(RefreshInvalid)


def test_the_secret_is_of_the_codes_seed_and_of_what_the_client_shows() -> None:
    assert len(SECRET) == 20
    assert secret_of(GRANT.seed, "w" * 43) != SECRET
    assert secret_of(b"s" * 20, "v" * 43) != SECRET
    assert "rrrr" not in repr(GRANT)


def test_the_mark_of_a_root_is_of_its_secret_alone() -> None:
    """A sign-in anew rotates the root: the codes that it has let out stay good."""
    root = made()
    again = root.rotated(5, b"k" * 32, "198.51.100.1", STRICT, NOW)
    other = msgspec.structs.replace(root, secret_hash=b"s" * 32)
    assert mark_of(again) == mark_of(root) != mark_of(other)
    assert root.secret_hash not in mark_of(root)
