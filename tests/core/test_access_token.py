"""Access-token claims: made within the session's life, checked to the letter."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_rotation import session
from tests.rows import in_one
from watchword.core import limits
from watchword.core.access_token import (
    RESERVED,
    Claims,
    Confirmation,
    check_claims,
    claims_of,
    client_claims,
    read_claims,
)
from watchword.core.policies import FIRST_PARTY_ID
from watchword.core.session import (
    AAL1,
    EVERYTHING,
    STRICT,
    Policy,
    RequestedToken,
    as_text,
)
from watchword.errors import TokenExpired, TokenInvalid

NOW = 1_800_000_000_000
ISSUER, AUDIENCE = "https://auth.example", "api"


def claims(
    now: int = NOW,
    policy: Policy = STRICT,
    requested: RequestedToken = EVERYTHING,
    **fields: Any,
) -> Claims:
    row = session(**fields)
    return claims_of(row, policy, requested, issuer=ISSUER, jti="j", now=now)


def clients_own(requested: RequestedToken = EVERYTHING, *audience: str) -> Claims:
    return client_claims(
        "worker",
        requested,
        issuer=ISSUER,
        audience=audience or (AUDIENCE,),
        life=limits.MINUTE,
        jti="j",
        now=NOW,
    )


def payload(made: Claims | None = None, **changes: Any) -> dict[str, Any]:
    builtins: dict[str, Any] = msgspec.to_builtins(made or claims())
    builtins |= changes
    return {name: value for name, value in builtins.items() if value is not ...}


def check(now: int = NOW, made: Claims | None = None, **changes: Any) -> Claims:
    read = read_claims(payload(made, **changes), ISSUER)
    check_claims(read, [AUDIENCE], now)
    return read


def test_the_claims_are_those_of_rfc_9068_and_of_the_session() -> None:
    made = claims(roles=("admin",))
    assert made.sub == as_text(b"a" * 16)
    assert made.sid == as_text(b"i" * 16)
    assert (made.iss, made.aud, made.client_id) == (ISSUER, AUDIENCE, "first-party")
    assert (made.iat, made.exp) == (NOW // 1000, NOW // 1000 + 120)
    assert made.auth_time == (NOW - limits.HOUR) // 1000
    assert made.roles == ("admin",)
    assert (made.amr, made.acr) == (("pwd",), AAL1)
    absent = {"roles", "scope", "nbf", "cnf"}
    assert not absent & set(msgspec.to_builtins(claims()))


def test_a_claims_hook_may_set_no_claim_of_ours() -> None:
    assert set(Claims.__struct_fields__) - {"extra"} == RESERVED


REQUESTS: dict[str, tuple[RequestedToken, dict[str, Any], dict[str, Any]]] = {
    "nothing, of a plain session": (EVERYTHING, {}, {"aud": "api", "scope": None}),
    "nothing, of a session with scope": (
        EVERYTHING,
        {"scope": ("read", "write")},
        {"scope": "read write"},
    ),
    "a narrower scope": (
        RequestedToken(scope=("read",)),
        {"scope": ("read", "write")},
        {"scope": "read"},
    ),
    "no scope": (RequestedToken(scope=()), {"scope": ("read",)}, {"scope": None}),
    "nothing, of a session for one": (EVERYTHING, {"audience": ("x",)}, {"aud": "x"}),
    "nothing, of a session for two": (
        EVERYTHING,
        {"audience": ("x", "y")},
        {"aud": ("x", "y")},
    ),
    "one of two": (
        RequestedToken(resources=("y",)),
        {"audience": ("x", "y")},
        {"aud": "y"},
    ),
    "nothing, of a bound session": (
        EVERYTHING,
        {"jkt": "k"},
        {"cnf": Confirmation("k")},
    ),
    "a bound token of a session that is not": (
        RequestedToken(jkt="k"),
        {},
        {"cnf": Confirmation("k")},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_token_has_what_was_asked_for_or_all_that_the_session_has(name: str) -> None:
    requested, fields, expected = REQUESTS[name]
    made = claims(requested=requested, **fields)
    assert {claim: getattr(made, claim) for claim in expected} == expected
    assert read_claims(payload(made), ISSUER) == made


def test_another_clients_token_has_the_roles_with_the_scope_roles_alone() -> None:
    """The app of an admin must not pass as the admin."""
    theirs: dict[str, Any] = {"client_id": "app", "roles": ("admin",)}
    both, narrowed = ("orders", "roles"), RequestedToken(scope=("orders",))
    assert claims(**theirs, scope=("orders",)).roles == ()
    assert claims(**theirs, scope=both).roles == ("admin",)
    assert claims(**theirs, scope=both, requested=narrowed).roles == ()
    own = theirs | {"client_id": FIRST_PARTY_ID}
    assert claims(**own, scope=()).roles == ("admin",)


def test_a_clients_own_token_has_no_session_and_no_sign_in() -> None:
    made = clients_own()
    assert (made.sub, made.client_id) == ("worker", "worker")
    assert made.exp - made.iat == 60
    members = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id"}
    assert set(msgspec.to_builtins(made)) == members
    assert check(made=made) == made
    full = clients_own(RequestedToken(("read", "write"), ("x", "y"), "k"))
    assert (full.aud, full.scope) == (("x", "y"), "read write")
    assert full.cnf == Confirmation("k")
    assert clients_own(EVERYTHING, "x", "y").aud == ("x", "y")


def test_one_audience_of_several_is_enough_and_none_too_few() -> None:
    """Text that contains an audience is not a list of it."""
    made = claims(audience=("bc", "xy"))
    check_claims(made, ["xy", "z"], NOW)
    for nothing in ((), [], "abcxy", ["abc"], ["XY"]):
        with pytest.raises(TokenInvalid):
            check_claims(made, nothing, NOW)


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
    assert check(aud=["other", AUDIENCE]).aud == ("other", AUDIENCE)
    assert check(nbf=NOW // 1000).nbf == NOW // 1000
    assert check(roles=["a", "b"]).roles == ("a", "b")


def test_claims_of_the_app_are_apart_from_ours() -> None:
    """Whatever they are called: none is taken for one of ours, nor spoils a token."""
    theirs: dict[str, Any] = {"own": 1, "extra": "x", "plan": {"name": "gold"}}
    assert check(**theirs) == msgspec.structs.replace(claims(), extra=theirs)
    assert check().extra == {}


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
    "issued in the future": {"iat": NOW // 1000 + 11},
    "not yet valid": {"nbf": NOW // 1000 + 1},
    "exp as text": {"exp": str(NOW // 1000 + 120)},
    "exp as truth": {"exp": True},
    "exp as an endless number": {"exp": float("inf")},
    "exp as null": {"exp": None},
    "roles as text": {"roles": "admin"},
    **{f"without {name}": {name: ...} for name in ("iss", "aud", "exp", "iat", "sid")},
    **{f"no {name}": {name: ...} for name in ("sub", "jti", "client_id", "auth_time")},
    "neither a user's nor a client's": {"sid": ..., "auth_time": ..., "acr": ...},
    "a session of null": {"sid": None, "auth_time": None, "acr": None},
    "a binding by certificate": {"cnf": {"x5t#S256": "x"}},
    "a binding to a key itself": {"cnf": {"jwk": {"kty": "EC"}}},
    "a binding to nothing": {"cnf": {}},
    "a binding of text": {"cnf": "k"},
    "a binding to a number": {"cnf": {"jkt": 1}},
    "methods as text": {"amr": "pwd"},
    "a class that is a number": {"acr": 1},
}

# Of a client's own token, which has the subject of its client and nothing of a user.
WRONG_OF_CLIENT: dict[str, dict[str, Any]] = {
    "another subject": {"sub": "a-user"},
    "a session alone": {"sid": "s"},
    "a sign-in alone": {"auth_time": NOW // 1000},
    "a class of sign-in": {"acr": AAL1},
}


@in_one("wrong", WRONG)
def test_wrong_claims_are_invalid_and_never_said_to_be_expired(wrong: str) -> None:
    with pytest.raises(TokenInvalid):
        check(**WRONG[wrong])
    if not {"iat", "nbf"} & set(WRONG[wrong]):
        with pytest.raises(TokenInvalid):  # however old: `token_expired` says genuine
            check(NOW + limits.DAY, **WRONG[wrong])


@pytest.mark.parametrize("wrong", WRONG_OF_CLIENT)
def test_a_clients_own_token_cannot_pass_for_a_users(wrong: str) -> None:
    with pytest.raises(TokenInvalid):
        check(made=clients_own(), **WRONG_OF_CLIENT[wrong])


def test_expiry_is_at_the_second_itself_without_leeway() -> None:
    exp = claims().exp * 1000
    assert check(exp - 1).exp * 1000 == exp
    with pytest.raises(TokenExpired):
        check(exp)


def test_a_token_of_a_machine_whose_clock_is_a_little_ahead_is_accepted() -> None:
    assert check(NOW - limits.CLOCK_SKEW) == claims()
    with pytest.raises(TokenInvalid):  # a clock set back: issued in the future
        check(NOW - limits.CLOCK_SKEW - 1000)
