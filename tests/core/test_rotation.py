"""The rotation rule: every row of its table, and what no verdict may ever do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import in_one
from watchword.core.actor import EndReason
from watchword.core.limits import (
    BROWSER_GRACE,
    BROWSER_HOLD_OFF,
    DAY,
    GENERATION_MAX,
    HOUR,
    MINUTE,
    REFRESH_ABSOLUTE,
    REFRESH_IDLE,
    RETRY_WINDOW,
    SECOND,
)
from watchword.core.refresh_token import RefreshTokens, hash_of
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Rotate,
    Same,
    Verdict,
    is_retry,
    judge,
    retry_hash,
)
from watchword.core.session import (
    BROWSER,
    STRICT,
    Alive,
    Authenticated,
    Policy,
    RequestedToken,
    Session,
)
from watchword.errors import (
    InvalidProof,
    InvalidScope,
    InvalidTarget,
    RefreshInvalid,
    RetryKeyReused,
    SessionExpired,
    SessionRevoked,
)

NOW = 1_800_000_000_000
SECRET = b"s" * 20
CLIENT = "first-party"
GENERATION = 5
KEY, OTHER_KEY = "the-key-of-this-rotation", "another-key-altogether"


def session(**fields: Any) -> Session:
    """Generation 5, rotated a minute ago with KEY."""
    values: dict[str, Any] = {
        "id": b"i" * 16,
        "account_id": b"a" * 16,
        "client_id": CLIENT,
        "secret_hash": hash_of(SECRET),
        "retry_hash": retry_hash(SECRET, GENERATION - 1, KEY),
        "generation": GENERATION,
        "version": GENERATION,
        "authenticated_at": NOW - HOUR,
        "rotated_at": NOW - MINUTE,
        "idle_expires_at": NOW - MINUTE + REFRESH_IDLE,
        "expires_at": NOW - HOUR + REFRESH_ABSOLUTE,
        "access_ttl": 2 * MINUTE,
        "grace": 0,
        "hold_off": 0,
        "roles": (),
        "address": "",
        "user_agent": "",
        "auth_time": NOW - HOUR,
    }
    return Session(**{**values, **fields})


def presented(generation: int = GENERATION, **fields: Any) -> Presented:
    values: dict[str, Any] = {
        "session_id": b"i" * 16,
        "generation": generation,
        "secret": SECRET,
        "client_id": CLIENT,
        "retry_key": None,
    }
    return Presented(**{**values, **fields})


def judged(
    row: Session | None, shown: Presented, policy: Policy = STRICT, now: int = NOW
) -> Verdict:
    return judge(row, shown, policy, now)


CURRENT = presented()
SPENT = presented(GENERATION - 1)
SPENT_WITH_KEY = presented(GENERATION - 1, retry_key=KEY)
HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"
RECENT: dict[str, Any] = {"grace": 10 * SECOND, "rotated_at": NOW - 9_999}
GRACE = session(**RECENT, address=HERE)
SPENT_HERE = presented(GENERATION - 1, address=HERE)
HOLD_OFF = session(hold_off=30 * SECOND, rotated_at=NOW - 29_999)
# The user has proved something with the token of the generation before, 1 second ago.
TABS: dict[str, Any] = {"cookie": True, "grace": 10 * SECOND, "hold_off": 30 * SECOND}
EARLY = session(**TABS, rotated_at=NOW - 9_999, auth_time=NOW - SECOND)
LATER = session(**TABS, rotated_at=NOW - 10_000, auth_time=NOW - 9_999)


def proof(at: int = NOW, acr: str = "aal1") -> Authenticated:
    return Authenticated(b"a" * 16, (), 0, ("otp",), acr, at)


def of_tab(generation: int = GENERATION, **fields: Any) -> Presented:
    return presented(generation, cookie=True, **fields)


ROWS: dict[str, tuple[Session | None, Presented, Verdict]] = {
    # 2: no such session, or another's secret.
    "no session": (None, CURRENT, Refuse(RefreshInvalid)),
    "wrong secret": (session(), presented(secret=b"x" * 20), Refuse(RefreshInvalid)),
    # 3: another client. The rest of it is in test_granted.py.
    "wrong client": (session(), presented(client_id="x"), Refuse(RefreshInvalid)),
    # 4: over before its time, or in time.
    "revoked": (session(revoked_at=NOW - 1), CURRENT, Refuse(SessionRevoked)),
    "idle": (session(idle_expires_at=NOW), CURRENT, Refuse(SessionExpired)),
    "absolute": (session(expires_at=NOW), CURRENT, Refuse(SessionExpired)),
    # 5, the current generation.
    "current": (session(), CURRENT, Rotate(GENERATION + 1)),
    "current, fresh key": (
        session(),
        presented(retry_key=OTHER_KEY),
        Rotate(GENERATION + 1),
    ),
    "current, the key that made it": (
        session(),
        presented(retry_key=KEY),
        Refuse(RetryKeyReused),
    ),
    "current, held off": (HOLD_OFF, CURRENT, Same()),
    "current, held off, with its key": (HOLD_OFF, presented(retry_key=KEY), Same()),
    "current, hold-off over": (
        session(hold_off=30 * SECOND, rotated_at=NOW - 30_000),
        CURRENT,
        Rotate(GENERATION + 1),
    ),
    "first of all, with a key": (
        session(generation=0, retry_hash=b"r" * 32),
        presented(0, retry_key=KEY),
        Rotate(1),
    ),
    "last of all": (
        session(generation=GENERATION_MAX),
        presented(GENERATION_MAX),
        End(EndReason.RESTORED),
    ),
    "last but one": (
        session(generation=GENERATION_MAX - 1),
        presented(GENERATION_MAX - 1),
        Rotate(GENERATION_MAX),
    ),
    # 5, the generation before.
    "spent": (session(), SPENT, End(EndReason.REUSE)),
    "spent, its key": (session(), SPENT_WITH_KEY, Retry()),
    "spent, another key": (
        session(),
        presented(GENERATION - 1, retry_key=OTHER_KEY),
        End(EndReason.REUSE),
    ),
    "spent, its key, window's last moment": (
        session(rotated_at=NOW - RETRY_WINDOW),
        SPENT_WITH_KEY,
        Retry(),
    ),
    "spent, its key, window over": (
        session(rotated_at=NOW - RETRY_WINDOW - 1),
        SPENT_WITH_KEY,
        End(EndReason.REUSE),
    ),
    "spent, its key, clock set back": (
        session(rotated_at=NOW + RETRY_WINDOW + 1),
        SPENT_WITH_KEY,
        End(EndReason.REUSE),
    ),
    "spent, in the grace": (GRACE, SPENT_HERE, Retry()),
    "spent, in the grace, another key": (
        GRACE,
        presented(GENERATION - 1, retry_key=OTHER_KEY, address=HERE),
        Retry(),
    ),
    "spent, in the grace, elsewhere": (
        GRACE,
        presented(GENERATION - 1, address=ELSEWHERE),
        End(EndReason.REUSE),
    ),
    "spent, its key, elsewhere": (
        GRACE,
        presented(GENERATION - 1, retry_key=KEY, address=ELSEWHERE),
        Retry(),
    ),
    "spent, in the grace, mapped into IPv6": (
        GRACE,
        presented(GENERATION - 1, address=f"::ffff:{HERE}"),
        Retry(),
    ),
    "spent, in the grace, in the same /64": (
        session(**RECENT, address="2001:db8:0:1::7"),
        presented(GENERATION - 1, address="2001:db8:0:1:a:b:c:d"),
        Retry(),
    ),
    "spent, in the grace, in the next /64": (
        session(**RECENT, address="2001:db8:0:1::7"),
        presented(GENERATION - 1, address="2001:db8:0:2::7"),
        End(EndReason.REUSE),
    ),
    "spent, in the grace, from no known network": (
        session(**RECENT),
        SPENT,
        End(EndReason.REUSE),
    ),
    "spent, in the grace, from one name": (
        session(**RECENT, address="unknown"),
        presented(GENERATION - 1, address="unknown"),
        End(EndReason.REUSE),
    ),
    "spent, in the grace, in a cookie from elsewhere": (
        session(**RECENT, address=HERE, cookie=True),
        presented(GENERATION - 1, address=ELSEWHERE, cookie=True),
        Retry(),
    ),
    "spent, in the grace, its key proved elsewhere": (
        session(**RECENT, address=HERE, jkt="k"),
        presented(GENERATION - 1, address=ELSEWHERE, requested=RequestedToken(jkt="k")),
        Retry(),
    ),
    "spent, in the grace, its key not proved": (
        session(**RECENT, address=HERE, jkt="k"),
        SPENT_HERE,
        Refuse(InvalidProof),
    ),
    "spent, grace over": (
        session(grace=10 * SECOND, rotated_at=NOW - 10_000, address=HERE),
        SPENT_HERE,
        End(EndReason.REUSE),
    ),
    "spent, in the grace by a clock set back": (
        session(grace=10 * SECOND, rotated_at=NOW + 10_000, address=HERE),
        SPENT_HERE,
        End(EndReason.REUSE),
    ),
    # 5, older: neither key nor grace helps.
    "ancestor": (session(), presented(GENERATION - 2), End(EndReason.REUSE)),
    "ancestor in the grace": (
        GRACE,
        presented(GENERATION - 2, address=HERE),
        End(EndReason.REUSE),
    ),
    "ancestor with the latest key": (
        session(),
        presented(GENERATION - 2, retry_key=KEY),
        End(EndReason.REUSE),
    ),
    "the very first": (session(), presented(0), End(EndReason.REUSE)),
    # 5, with a proof of the user.
    "current, held off, proved anew": (
        HOLD_OFF,
        presented(proved=proof()),
        Rotate(GENERATION + 1, early=True),
    ),
    "current, held off, proved more": (
        HOLD_OFF,
        presented(proved=proof(NOW - HOUR, "aal2")),
        Rotate(GENERATION + 1, early=True),
    ),
    "current, held off, proved less": (
        HOLD_OFF,
        presented(proved=proof(acr="aal0")),
        Same(),
    ),
    "current, held off, proved before": (
        HOLD_OFF,
        presented(proved=proof(NOW - HOUR - 1)),
        Same(),
    ),
    "current, held off, proved, the key that made it": (
        HOLD_OFF,
        presented(proved=proof(), retry_key=KEY),
        Refuse(RetryKeyReused),
    ),
    "current, proved": (session(), presented(proved=proof()), Rotate(GENERATION + 1)),
    "current, made early": (LATER, of_tab(), Same()),
    "current, made early a while ago": (
        session(**TABS, rotated_at=NOW - 30_000, auth_time=NOW - 29_999),
        of_tab(),
        Same(),
    ),
    "current, made early, hold-off over": (
        session(**TABS, rotated_at=NOW - 59_998, auth_time=NOW - 30_000),
        of_tab(),
        Rotate(GENERATION + 1),
    ),
    "spent just now, proved": (
        session(**TABS, rotated_at=NOW - SECOND),
        of_tab(GENERATION - 1, proved=proof()),
        Rotate(GENERATION + 1, early=True),
    ),
    "spent just now, proved, last of all": (
        session(**TABS, rotated_at=NOW - SECOND, generation=GENERATION_MAX),
        of_tab(GENERATION_MAX - 1, proved=proof()),
        End(EndReason.RESTORED),
    ),
    "spent early": (LATER, of_tab(GENERATION - 1), Retry()),
    "spent early, proved": (LATER, of_tab(GENERATION - 1, proved=proof()), Retry()),
    "spent early, grace over": (
        session(**TABS, rotated_at=NOW - 20_000, auth_time=NOW - 10_000),
        of_tab(GENERATION - 1),
        End(EndReason.REUSE),
    ),
    "before the one spent early": (EARLY, of_tab(GENERATION - 2), Retry()),
    "before the one spent early, its grace over": (
        LATER,
        of_tab(GENERATION - 2),
        End(EndReason.REUSE),
    ),
    "before one that was not spent early": (
        session(**TABS, rotated_at=NOW - SECOND, auth_time=NOW - SECOND),
        of_tab(GENERATION - 2),
        End(EndReason.REUSE),
    ),
    "two before the one spent early": (
        EARLY,
        of_tab(GENERATION - 3),
        End(EndReason.REUSE),
    ),
    "before the one spent early, in no cookie": (
        msgspec.structs.replace(EARLY, cookie=False, address=HERE),
        presented(GENERATION - 2, address=HERE),
        End(EndReason.REUSE),
    ),
    "spent, the clock set back after the proof": (
        session(**TABS, rotated_at=NOW - SECOND, auth_time=NOW + HOUR),
        of_tab(GENERATION - 1),
        Retry(),
    ),
    # 5, ahead of the row.
    "one ahead": (
        session(),
        presented(GENERATION + 1),
        Rotate(GENERATION + 2, rewound=True),
    ),
    "three ahead": (
        session(),
        presented(GENERATION + 3),
        Rotate(GENERATION + 4, rewound=True),
    ),
    "ahead, held off": (
        HOLD_OFF,
        presented(GENERATION + 1),
        Rotate(GENERATION + 2, rewound=True),
    ),
    "four ahead": (session(), presented(GENERATION + 4), End(EndReason.RESTORED)),
    "ahead at the last": (
        session(generation=GENERATION_MAX - 1),
        presented(GENERATION_MAX),
        End(EndReason.RESTORED),
    ),
}


@in_one("row", ROWS)
def test_every_row_of_the_rule(row: str) -> None:
    stored, shown, verdict = ROWS[row]
    assert judged(stored, shown) == verdict


def test_the_rewind_limit_is_the_policys_and_zero_switches_it_off() -> None:
    ahead = presented(GENERATION + 1)
    assert judged(session(), ahead, Policy(rewind_limit=0)) == End(EndReason.RESTORED)
    far = presented(GENERATION + 9)
    assert judged(session(), far, Policy(rewind_limit=9)) == Rotate(
        GENERATION + 10, rewound=True
    )


def test_the_retry_window_is_the_policys_and_zero_leaves_the_same_moment() -> None:
    policy = Policy(retry_window=0)
    assert judged(session(), SPENT_WITH_KEY, policy) == End(EndReason.REUSE)
    assert judged(session(rotated_at=NOW), SPENT_WITH_KEY, policy) == Retry()


def test_a_shorter_policy_ends_a_session_and_a_longer_one_never_revives_it() -> None:
    shorter = Policy(refresh_idle=MINUTE)
    assert judged(session(), CURRENT, shorter) == Refuse(SessionExpired)
    shorter = Policy(refresh_absolute=HOUR)
    assert judged(session(), CURRENT, shorter) == Refuse(SessionExpired)
    longer = Policy(refresh_idle=300 * DAY, refresh_absolute=300 * DAY)
    over = session(idle_expires_at=NOW)
    assert judged(over, CURRENT, longer) == Refuse(SessionExpired)


def test_the_named_policies_are_what_the_design_says() -> None:
    assert (STRICT.grace, STRICT.hold_off) == (0, 0)
    assert (BROWSER.grace, BROWSER.hold_off) == (BROWSER_GRACE, BROWSER_HOLD_OFF)


# The order of the checks: each fault below hides all that come after it.
FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], Verdict]] = [
    ("secret", {}, {"secret": b"x" * 20}, Refuse(RefreshInvalid)),
    ("client", {}, {"client_id": "x"}, Refuse(RefreshInvalid)),
    ("key", {"jkt": "k"}, {}, Refuse(InvalidProof)),
    ("scope", {}, {"scope": ("more",)}, Refuse(InvalidScope)),
    ("resource", {}, {"resources": ("other",)}, Refuse(InvalidTarget)),
    ("revoked", {"revoked_at": NOW - 1}, {}, Refuse(SessionRevoked)),
    ("expired", {"idle_expires_at": NOW - 1}, {}, Refuse(SessionExpired)),
    ("reuse", {}, {"generation": 0}, End(EndReason.REUSE)),
]


@in_one("first", range(len(FAULTS)))
@in_one("second", range(len(FAULTS)))
def test_the_first_check_that_fails_decides(first: int, second: int) -> None:
    row: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    for _, of_row, of_token, _ in (FAULTS[second], FAULTS[first]):
        row |= of_row
        shown |= of_token
    wanted = {n: shown.pop(n) for n in ("scope", "resources") if n in shown}
    shown["requested"] = RequestedToken(**wanted)
    expected = FAULTS[min(first, second)][3]
    assert judged(session(**row), presented(**shown)) == expected


GENERATIONS = st.one_of(
    st.integers(0, 12), st.integers(GENERATION_MAX - 4, GENERATION_MAX)
)
INSTANTS = st.one_of(
    st.integers(NOW - 40 * DAY, NOW + 40 * DAY), st.integers(NOW - 40, NOW + 40)
)
KEYS = st.sampled_from([None, KEY, OTHER_KEY])


@st.composite
def rows(draw: st.DrawFn) -> Session:
    generation = draw(GENERATIONS)
    made_with = draw(st.sampled_from([KEY, OTHER_KEY]))
    begun = draw(INSTANTS)
    spent = max(generation - 1, 0)
    return session(
        generation=generation,
        retry_hash=retry_hash(SECRET, spent, made_with) if generation else b"r" * 32,
        authenticated_at=begun,
        rotated_at=draw(INSTANTS),
        idle_expires_at=draw(INSTANTS),
        expires_at=begun + REFRESH_ABSOLUTE,
        grace=draw(st.sampled_from([0, 10_000, 60_000])),
        hold_off=draw(st.sampled_from([0, 30_000])),
        revoked_at=draw(st.sampled_from([None, None, NOW])),
        cookie=draw(st.booleans()),
        auth_time=draw(st.one_of(st.just(begun), INSTANTS)),
        jkt=draw(st.sampled_from([None, None, "k"])),
    )


@st.composite
def requests(draw: st.DrawFn) -> Presented:
    return presented(
        draw(GENERATIONS),
        secret=draw(st.sampled_from([SECRET, SECRET, b"x" * 20])),
        client_id=draw(st.sampled_from([CLIENT, CLIENT, "another"])),
        retry_key=draw(KEYS),
        cookie=draw(st.booleans()),
        proved=draw(st.sampled_from([None, proof(), proof(acr="aal2")])),
        requested=RequestedToken(jkt=draw(st.sampled_from([None, "k", "other"]))),
    )


POLICIES = st.builds(
    Policy,
    refresh_idle=st.integers(1, 40 * DAY),
    refresh_absolute=st.integers(1, 40 * DAY),
    retry_window=st.sampled_from([0, HOUR, RETRY_WINDOW]),
    rewind_limit=st.integers(0, 4),
)


@settings(max_examples=300)
@given(row=rows(), shown=requests(), policy=POLICIES, now=INSTANTS)
def test_checks_1_to_4_never_revoke_and_never_spend(
    row: Session, shown: Presented, policy: Policy, now: int
) -> None:
    verdict = judge(row, shown, policy, now)
    trusted = shown.secret == SECRET and shown.client_id == CLIENT
    trusted = trusted and row.jkt in (None, shown.requested.jkt)
    trusted = trusted and row.cookie == shown.cookie
    alive = row.revoked_at is None and now < row.ends_at(policy)
    if not (trusted and alive):
        assert isinstance(verdict, Refuse)
    elif isinstance(verdict, Refuse):
        assert verdict.error is RetryKeyReused


@settings(max_examples=300)
@given(row=rows(), shown=requests(), policy=POLICIES, now=INSTANTS)
def test_no_verdict_extends_a_lifetime_and_generations_only_rise(
    row: Session, shown: Presented, policy: Policy, now: int
) -> None:
    verdict = judge(row, shown, policy, now)
    if not isinstance(verdict, Rotate):
        return  # nothing but a rotation writes a lifetime
    early = verdict.early
    after = row.rotated(verdict.generation, b"h" * 32, "", policy, now, early=early)
    assert after.rotated_at == (row.rotated_at if early else now)
    assert after.expires_at == row.expires_at
    assert after.authenticated_at == row.authenticated_at
    assert after.ends_at(policy) <= row.expires_at
    assert after.ends_at(policy) <= now + policy.refresh_idle
    assert after.ends_at(policy) <= row.authenticated_at + policy.refresh_absolute
    assert verdict.generation == shown.generation + 1 > row.generation
    assert verdict.generation <= GENERATION_MAX
    assert after.version == row.version + 1
    unchanged = (
        *("id", "account_id", "client_id", "secret_hash", "access_ttl", "grace"),
        *("scope", "audience", "jkt", "amr", "acr", "cookie", "auth_time"),
    )
    assert all(getattr(row, name) == getattr(after, name) for name in unchanged)


@settings(max_examples=300)
@given(row=rows(), policy=POLICIES, now=INSTANTS)
def test_stores_compare_by_columns_what_the_rule_says(
    row: Session, policy: Policy, now: int
) -> None:
    alive = row.revoked_at is None and now < row.ends_at(policy)
    assert Alive.at(now, policy).includes(row) is alive


@settings(max_examples=300)
@given(row=rows(), shown=requests(), policy=POLICIES, now=INSTANTS)
def test_whoever_is_answered_holds_the_one_current_token(
    row: Session, shown: Presented, policy: Policy, now: int
) -> None:
    """Retry and Same name the row's generation, Rotate makes a new one: no fork."""
    verdict = judge(row, shown, policy, now)
    if isinstance(verdict, Same):
        assert shown.generation == row.generation
    if isinstance(verdict, Retry):
        assert row.generation - 2 <= shown.generation < row.generation


@given(secret=st.binary(min_size=20, max_size=20), generation=st.integers(0, 50))
def test_a_retrys_successor_is_the_rotations_byte_for_byte(
    secret: bytes, generation: int
) -> None:
    tokens = RefreshTokens([b"k" * 32])
    row = session(
        secret_hash=hash_of(secret), generation=generation, retry_hash=b"r" * 32
    )
    shown = presented(generation, secret=secret, retry_key=KEY)
    verdict = judged(row, shown)
    assert isinstance(verdict, Rotate)
    first = tokens.mint(row.id, verdict.generation, secret)
    made_with = retry_hash(secret, generation, KEY)
    after = row.rotated(verdict.generation, made_with, "", STRICT, NOW)
    assert judged(after, shown, now=NOW + HOUR) == Retry()
    assert is_retry(after, shown)
    for other in (shown.generation + 1, shown.generation - 1):
        again = msgspec.structs.replace(shown, generation=other)
        assert not is_retry(after, again)
    for key in (None, OTHER_KEY):
        assert not is_retry(after, msgspec.structs.replace(shown, retry_key=key))
    assert tokens.mint(after.id, after.generation, secret) == first


@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16),
    other=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16),
    generation=st.integers(0, 2**32 - 1),
)
def test_the_retry_hash_tells_keys_and_generations_apart(
    key: str, other: str, generation: int
) -> None:
    made = retry_hash(SECRET, generation, key)
    assert (retry_hash(SECRET, generation, other) == made) == (key == other)
    if generation:
        assert retry_hash(SECRET, generation - 1, key) != made
    assert retry_hash(b"x" * 20, generation, key) != made


def test_a_verdict_is_a_value_that_nobody_changes() -> None:
    verdict: Any = Rotate(1)
    with pytest.raises(AttributeError):
        verdict.generation = 2
    row: Any = session()
    with pytest.raises(AttributeError):
        row.generation = 2
    assert msgspec.structs.replace(row, generation=9) is not row
