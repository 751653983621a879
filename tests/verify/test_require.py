"""What a resource may ask of a good token: its scope, and how the user signed in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verify.minting import Bench
from watchword.core.access_token import Claims
from watchword.errors import (
    InsufficientAuthentication,
    InsufficientRole,
    InsufficientScope,
)

# The token's scope, what is needed, whether it will do.
SCOPES: dict[str, tuple[Any, tuple[str, ...], bool]] = {
    "nothing needed": (..., (), True),
    "nothing there": (..., ("read",), False),
    "the one": ("read", ("read",), True),
    "one of more": ("write read", ("read",), True),
    "all of more": ("write read x", ("read", "write"), True),
    "one of two": ("read", ("read", "write"), False),
    "a longer one": ("reader", ("read",), False),
    "a part of one": ("read", ("ad",), False),
    "in another case": ("READ", ("read",), False),
    "an empty one": ("", ("read",), False),
    "two in one word": ("read write", ("read write",), False),
}


@pytest.fixture
def bench() -> Bench:
    return Bench("ES256")


def claims(bench: Bench, **changes: Any) -> Claims:
    return bench.checker.verify(bench.mint.with_claims(**changes))


@pytest.mark.parametrize("name", SCOPES)
def test_all_of_the_scope_must_be_there(name: str, bench: Bench) -> None:
    scope, needed, enough = SCOPES[name]
    token = claims(bench, scope=scope)
    if enough:
        bench.checker.require(token, scope=needed)
        return
    with pytest.raises(InsufficientScope) as caught:
        bench.checker.require(token, scope=needed)
    assert caught.value.scope == " ".join(needed)


# Seconds since the sign-in, and the `acr`; what is asked; whether it will do.
SIGN_INS: dict[str, tuple[int, str | None, dict[str, Any], bool]] = {
    "nothing asked": (10**6, None, {}, True),
    "recent enough": (59, "aal1", {"max_age": 60}, True),
    "to the second": (60, "aal1", {"max_age": 60}, True),
    "too old": (61, "aal1", {"max_age": 60}, False),
    "this very second": (0, "aal1", {"max_age": 0}, True),
    "a second ago": (1, "aal1", {"max_age": 0}, False),
    "the class": (60, "aal1", {"acr_values": ("aal1",)}, True),
    "any of the classes": (60, "aal1", {"acr_values": ("aal2", "aal1")}, True),
    "another class": (60, "aal1", {"acr_values": ("aal2",)}, False),
    "a class that contains it": (60, "aal1", {"acr_values": ("aal11", "aal")}, False),
    "no class": (60, None, {"acr_values": ("aal1",)}, False),
    "both": (60, "aal1", {"max_age": 60, "acr_values": ("aal1",)}, True),
    "both, too old": (61, "aal1", {"max_age": 60, "acr_values": ("aal1",)}, False),
    "both, too weak": (60, "aal1", {"max_age": 60, "acr_values": ("aal2",)}, False),
}


@pytest.mark.parametrize("name", SIGN_INS)
def test_step_up_asks_for_a_recent_and_strong_sign_in(name: str, bench: Bench) -> None:
    """RFC 9470: `auth_time` counts from the sign-in, whatever was refreshed since."""
    age, acr, asked, enough = SIGN_INS[name]
    signed_in = bench.clock.now // 1000 - age
    token = claims(bench, auth_time=signed_in, acr=... if acr is None else acr)
    if enough:
        bench.checker.require(token, **asked)
        return
    with pytest.raises(InsufficientAuthentication) as caught:
        bench.checker.require(token, **asked)
    assert caught.value.max_age == asked.get("max_age")
    assert caught.value.acr_values == (" ".join(asked.get("acr_values", ())) or None)


def test_a_clients_own_token_satisfies_no_demand_on_a_sign_in(bench: Bench) -> None:
    token = bench.checker.verify(bench.mint.clients_own(scope="read"))
    bench.checker.require(token, scope=["read"])
    wishes: list[dict[str, Any]] = [{"max_age": 10**9}, {"acr_values": ["aal1"]}]
    for asked in wishes:
        with pytest.raises(InsufficientAuthentication):
            bench.checker.require(token, **asked)


def test_a_sign_in_cannot_widen_a_scope_so_that_is_told_first(bench: Bench) -> None:
    token = claims(bench, auth_time=1)
    with pytest.raises(InsufficientScope):
        bench.checker.require(token, scope=["admin"], max_age=60)


# The account's roles, what is needed, whether they will do.
ROLES: dict[str, tuple[Any, tuple[str, ...], bool]] = {
    "nothing needed": (..., (), True),
    "none there": (..., ("admin",), False),
    "the one": (["admin"], ("admin",), True),
    "all of more": (["a", "b", "c"], ("c", "a"), True),
    "one of two": (["a"], ("a", "b"), False),
    "a part of one": (["administrator"], ("admin",), False),
}


@pytest.mark.parametrize("name", ROLES)
def test_all_of_the_roles_must_be_there(name: str, bench: Bench) -> None:
    roles, needed, enough = ROLES[name]
    token = claims(bench, roles=roles)
    if enough:
        bench.checker.require(token, roles=needed)
        return
    with pytest.raises(InsufficientRole):
        bench.checker.require(token, roles=needed)
