"""Access-token claims: made within the session's life, checked to the letter."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_rotation import session
from watchword.core import limits
from watchword.core.access_token import Claims, check_claims, claims_of
from watchword.core.session import STRICT, Policy, as_text
from watchword.errors import TokenExpired, TokenInvalid

NOW = 1_800_000_000_000
ISSUER, AUDIENCE = "https://auth.example", "api"


def claims(now: int = NOW, policy: Policy = STRICT, **fields: Any) -> Claims:
    return claims_of(
        session(**fields), policy, issuer=ISSUER, audience=AUDIENCE, jti="j", now=now
    )


def payload(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(claims())
    made |= changes
    return {name: value for name, value in made.items() if value is not ...}


def check(now: int = NOW, **changes: Any) -> Claims:
    return check_claims(payload(**changes), ISSUER, AUDIENCE, now)


def test_the_claims_are_those_of_rfc_9068_and_of_the_session() -> None:
    made = claims(roles=("admin",))
    assert made.sub == as_text(b"a" * 16)
    assert made.sid == as_text(b"i" * 16)
    assert (made.iss, made.aud, made.client_id) == (ISSUER, AUDIENCE, "first-party")
    assert (made.iat, made.exp) == (NOW // 1000, NOW // 1000 + 120)
    assert made.auth_time == (NOW - limits.HOUR) // 1000
    assert made.roles == ("admin",)
    absent = {"roles", "scope", "nbf"}
    assert not absent & set(msgspec.to_builtins(claims()))


@given(
    left=st.integers(1, 10 * limits.MINUTE),
    life=st.integers(limits.SECOND, limits.ACCESS_TTL_MAX),
    fraction=st.integers(0, 999),
    which=st.sampled_from(["idle_expires_at", "expires_at"]),
)
def test_an_access_token_never_outlives_its_session(
    left: int, life: int, fraction: int, which: str
) -> None:
    now = NOW + fraction
    fields: dict[str, Any] = {which: now + left, "access_ttl": life}
    made = claims(now, **fields)
    assert made.exp * 1000 <= now + left
    assert made.exp * 1000 <= now + life
    assert made.exp >= made.iat


def test_a_shorter_policy_shortens_the_access_token_too() -> None:
    made = claims(policy=Policy(refresh_idle=limits.MINUTE + 30_000))
    assert made.exp == NOW // 1000 + 30


def test_good_claims_are_returned_typed() -> None:
    assert check() == claims()
    assert check(aud=["other", AUDIENCE]).aud == ["other", AUDIENCE]
    assert check(nbf=NOW // 1000).nbf == NOW // 1000
    assert check(roles=["a", "b"]).roles == ("a", "b")
    assert check(theirs={"own": 1}) == claims()


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://auth.example/"},
    "an issuer in capitals": {"iss": "https://AUTH.example"},
    "another audience": {"aud": "ap"},
    "no audience of many": {"aud": ["a", "b"]},
    "an empty list of audiences": {"aud": []},
    "a nested audience": {"aud": [["api"]]},
    "no subject": {"sub": ""},
    "a number as subject": {"sub": 1},
    "no session": {"sid": ""},
    "no jti": {"jti": ""},
    "no client": {"client_id": ""},
    "an iat of zero": {"iat": 0},
    "a negative exp": {"exp": -1},
    "an exp beyond year 9999": {"exp": 253_402_300_800, "iat": 253_402_300_000},
    "an endless life": {"exp": NOW // 1000 + 3601},
    "issued in the future": {"iat": NOW // 1000 + 1},
    "not yet valid": {"nbf": NOW // 1000 + 1},
    "exp as text": {"exp": str(NOW // 1000 + 120)},
    "exp as truth": {"exp": True},
    "exp as an endless number": {"exp": float("inf")},
    "exp as null": {"exp": None},
    "roles as text": {"roles": "admin"},
    **{f"without {name}": {name: ...} for name in ("iss", "aud", "exp", "iat", "sid")},
    **{f"no {name}": {name: ...} for name in ("sub", "jti", "client_id", "auth_time")},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_claims_are_invalid_and_never_said_to_be_expired(wrong: str) -> None:
    with pytest.raises(TokenInvalid):
        check(**WRONG[wrong])
    if not {"iat", "nbf"} & set(WRONG[wrong]):
        with pytest.raises(TokenInvalid):  # however old: `token_expired` says genuine
            check(NOW + limits.DAY, **WRONG[wrong])


def test_expiry_is_at_the_second_itself_without_leeway() -> None:
    exp = claims().exp * 1000
    assert check(exp - 1).exp * 1000 == exp
    with pytest.raises(TokenExpired):
        check(exp)
    with pytest.raises(TokenInvalid):  # a clock set back: issued in the future
        check(NOW - 1000)
