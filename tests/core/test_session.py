"""Sessions as values, their ids, and how they show them."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_rotation import NOW, session
from watchword.core.actor import EndReason
from watchword.core.limits import ACCESS_TTL_MAX, MINUTE, SECOND, USER_AGENT_MAX
from watchword.core.session import (
    STRICT,
    Authenticated,
    Policy,
    Session,
    SessionOptions,
    as_text,
    from_text,
    time_ordered_id,
)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_time_ordered_ids_are_version_7_uuids(now: int, drawn: bytes) -> None:
    made = uuid.UUID(bytes=time_ordered_id(now, drawn))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert int.from_bytes(made.bytes[:6]) == now


def test_the_example_of_rfc_9562_appendix_a_6() -> None:
    drawn = bytes.fromhex("0cc318c4dc0c0c07398f")
    made = time_ordered_id(0x017F22E279B0, drawn)
    assert as_text(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(
    st.integers(0, 2**46),
    st.integers(1, 2**46),
    st.binary(min_size=10, max_size=10),
    st.binary(min_size=10, max_size=10),
)
def test_later_ids_sort_later(now: int, later: int, one: bytes, two: bytes) -> None:
    assert time_ordered_id(now, one) < time_ordered_id(now + later, two)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_74_bits_of_chance_are_in_an_id(one: bytes, two: bytes) -> None:
    same = time_ordered_id(NOW, one) == time_ordered_id(NOW, two)
    masks = bytes([0x0F, 0xFF, 0x3F, *[0xFF] * 7])
    alike = all(a & m == b & m for a, b, m in zip(one, two, masks, strict=True))
    assert same == alike


@given(st.binary(min_size=16, max_size=16))
def test_an_id_has_one_spelling(identifier: bytes) -> None:
    text = as_text(identifier)
    assert text == str(uuid.UUID(bytes=identifier))
    assert from_text(text) == identifier
    for other in (text.replace("-", ""), f"{{{text}}}", f"urn:uuid:{text}", text + " "):
        assert from_text(other) is None
    assert text.upper() == text or from_text(text.upper()) is None


@pytest.mark.parametrize("junk", ["", "x", "../../etc/passwd", "0" * 37, "é" * 36])
def test_what_is_no_id_is_none(junk: str) -> None:
    assert from_text(junk) is None


def test_ending_a_session_says_when_and_why_and_changes_nothing_else() -> None:
    row = session()
    ended = row.ended(EndReason.LOGOUT, NOW)
    assert (ended.revoked_at, ended.revoked_reason) == (NOW, "logout")
    assert ended.version == row.version + 1
    assert ended.generation == row.generation


def test_a_session_remembers_all_its_terms_and_a_refresh_changes_none() -> None:
    options = SessionOptions(
        client_id="c",
        access_ttl=MINUTE,
        grace=5 * SECOND,
        scope=("read",),
        audience=("https://api.example",),
        jkt="k",
        cookie=True,
    )
    fields = {name: getattr(options, name) for name in SessionOptions.__struct_fields__}
    fields |= {"amr": ("pwd", "otp"), "acr": "aal2"}
    assert set(fields) <= set(Session.__struct_fields__)
    after = session(**fields).rotated(6, b"r" * 32, "address", STRICT, NOW)
    assert {name: getattr(after, name) for name in fields} == fields


@given(
    at=st.integers(NOW - 10 * MINUTE, NOW),
    later=st.integers(-MINUTE, MINUTE),
    life=st.integers(SECOND, ACCESS_TTL_MAX),
)
def test_the_feeds_entry_outlives_every_access_token_of_the_session(
    at: int, later: int, life: int
) -> None:
    """Also one of a rotation that came between the end's date and its commit."""
    row = session(rotated_at=at + later, access_ttl=life)
    entry = row.ended(EndReason.LOGOUT, at).feed_entry()
    assert (entry.session_id, entry.at) == (row.id, at)
    assert entry.until >= max(at, row.rotated_at) + life


def test_a_session_is_called_what_its_access_tokens_call_it() -> None:
    assert started().sid == as_text(started().id)


def started(policy: Policy = STRICT, **options: Any) -> Session:
    return Session.started(
        Authenticated.by_password(b"a" * 16, ("admin",), at=NOW),
        SessionOptions(client_id="spa", **options),
        policy,
        randomness=bytes(10),
        secret_hash=b"s" * 32,
        retry_hash=b"r" * 32,
        address="192.0.2.1",
        user_agent="x" * 1000,
        now=NOW,
    )


def test_a_session_begins_with_what_its_terms_say_and_the_policy_else() -> None:
    plain, own = started(), started(access_ttl=5000, scope=("a",), audience=("b",))
    assert (plain.generation, plain.version, plain.client_id) == (0, 0, "spa")
    assert plain.authenticated_at == plain.rotated_at == NOW
    assert plain.expires_at == NOW + STRICT.refresh_absolute
    assert plain.idle_expires_at == plain.ends_at(STRICT) == NOW + STRICT.refresh_idle
    assert (plain.access_ttl, own.access_ttl) == (STRICT.access_ttl, 5000)
    assert (own.scope, own.audience) == (("a",), ("b",))
    assert len(plain.user_agent) == USER_AGENT_MAX


@pytest.mark.parametrize(
    ("field", "fraction"),
    [("idle_expires_at", 999), ("expires_at", 1), ("idle_expires_at", 0)],
)
def test_what_is_left_is_told_in_whole_seconds_and_at_least_one(
    field: str, fraction: int
) -> None:
    end = NOW + 5 * SECOND + fraction
    row = session(**{field: end})
    assert row.ends_at(STRICT) == end
    assert row.seconds_left(STRICT, NOW) == 5
    assert row.seconds_left(STRICT, end - 1) == 1


LENIENT = Policy(grace=30 * SECOND)


@pytest.mark.parametrize(
    ("policy", "options", "grace", "hold_off"),
    [
        (STRICT, {}, 0, 0),
        (LENIENT, {}, 30, 0),
        (LENIENT, {"grace": 0}, 0, 0),
        (STRICT, {"grace": 10 * SECOND}, 10, 0),
        (STRICT, {"grace": 10 * SECOND, "jkt": "k"}, 60, 0),
        (STRICT, {"jkt": "k"}, 60, 0),
        (STRICT, {"cookie": True}, 10, 30),
        (LENIENT, {"cookie": True}, 30, 50),
        (STRICT, {"cookie": True, "jkt": "k"}, 60, 80),
    ],
)
def test_who_cannot_send_a_retry_key_has_a_grace(
    policy: Policy, options: dict[str, Any], grace: int, hold_off: int
) -> None:
    """And a cookie is held off for longer than that: a late answer meets no newer."""
    made = started(policy, **options)
    assert (made.grace, made.hold_off) == (grace * SECOND, hold_off * SECOND)


@pytest.mark.parametrize(
    ("method", "level", "later", "proved"),
    [
        ("pwd", "aal1", MINUTE, (("pwd",), "aal1", MINUTE)),
        ("otp", "aal2", MINUTE, (("pwd", "otp"), "aal2", MINUTE)),
        ("otp", "aal2", 0, (("pwd", "otp"), "aal2", 0)),
        ("pin", "aal0", MINUTE, (("pwd",), "aal1", 0)),
        ("otp", "aal2", -1, (("pwd",), "aal1", 0)),
    ],
    ids=["anew", "more", "more at once", "less", "older"],
)
def test_a_proof_raises_a_session_and_never_lowers_it(
    method: str, level: str, later: int, proved: tuple[tuple[str, ...], str, int]
) -> None:
    """A weaker proof does not make that of a higher class look recent."""
    row = session()
    at = row.auth_time + later
    after = row.proved(Authenticated(row.account_id, (), 0, (method,), level, at))
    assert (after.amr, after.acr, after.auth_time - row.auth_time) == proved
    assert after.authenticated_at == row.authenticated_at


@pytest.mark.parametrize(
    ("level", "later", "proved"),
    [
        ("aal2", MINUTE, (("pwd", "otp", "mca"), "aal2", MINUTE)),
        ("aal1", MINUTE, (("mca",), "aal1", MINUTE)),
        ("aal2", -1, (("pwd", "otp"), "aal2", 0)),
    ],
    ids=["as strong", "weaker", "older"],
)
def test_another_sign_in_says_what_was_proved_by_it(
    level: str, later: int, proved: tuple[tuple[str, ...], str, int]
) -> None:
    row = msgspec.structs.replace(session(), acr="aal2", amr=("pwd", "otp"))
    at = row.auth_time + later
    after = row.signed_in_anew(
        Authenticated(row.account_id, (), 0, ("mca",), level, at)
    )
    assert (after.amr, after.acr, after.auth_time - row.auth_time) == proved


def test_a_group_is_named_by_its_root() -> None:
    root = session()
    member = msgspec.structs.replace(root, id=b"m" * 16, started_from=root.id)
    assert root.group == member.group == root.id
