"""Check 3 of the rotation rule: nothing beyond what the session was granted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.test_rotation import GENERATION, NOW, presented, session
from watchword.core.rotation import Refuse, Rotate, Verdict, judge
from watchword.core.session import STRICT, Policy, RequestedToken
from watchword.errors import InvalidProof, InvalidScope, InvalidTarget, RefreshInvalid

ONE, TWO, THREE = (f"https://{name}.example" for name in ("one", "two", "three"))
ROTATED = Rotate(GENERATION + 1)

# What the session has, what is asked for, and what becomes of it.
REQUESTS: dict[str, tuple[dict[str, Any], RequestedToken, Verdict]] = {
    "bound, no proof": ({"jkt": "k"}, RequestedToken(), Refuse(InvalidProof)),
    "bound, another key": ({"jkt": "k"}, RequestedToken(jkt="x"), Refuse(InvalidProof)),
    "bound, its key": ({"jkt": "k"}, RequestedToken(jkt="k"), ROTATED),
    "not bound, some key": ({}, RequestedToken(jkt="k"), ROTATED),
    "all the scope": ({"scope": ("a", "b")}, RequestedToken(), ROTATED),
    "the same scope": ({"scope": ("a", "b")}, RequestedToken(("b", "a")), ROTATED),
    "a narrower scope": ({"scope": ("a", "b")}, RequestedToken(("b",)), ROTATED),
    "no scope": ({"scope": ("a", "b")}, RequestedToken(()), ROTATED),
    "a wider scope": (
        {"scope": ("a",)},
        RequestedToken(("a", "b")),
        Refuse(InvalidScope),
    ),
    "another scope": ({"scope": ("a",)}, RequestedToken(("b",)), Refuse(InvalidScope)),
    "a scope where none is": ({}, RequestedToken(("a",)), Refuse(InvalidScope)),
    "one resource of two": (
        {"audience": (ONE, TWO)},
        RequestedToken(None, (TWO,)),
        ROTATED,
    ),
    "both resources": (
        {"audience": (ONE, TWO)},
        RequestedToken(None, (TWO, ONE)),
        ROTATED,
    ),
    "another resource": (
        {"audience": (ONE, TWO)},
        RequestedToken(None, (ONE, THREE)),
        Refuse(InvalidTarget),
    ),
    "the server's, of a session with its own": (
        {"audience": (ONE,)},
        RequestedToken(None, ("api",)),
        Refuse(InvalidTarget),
    ),
    "the server's, of a session without": ({}, RequestedToken(None, ("api",)), ROTATED),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_more_than_was_granted_is_refused_and_nothing_is_spent(name: str) -> None:
    has, requested, verdict = REQUESTS[name]
    assert judge(session(**has), presented(requested=requested), STRICT, NOW) == verdict


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_a_token_travels_only_the_way_it_was_given(*, given: bool, shown: bool) -> None:
    verdict = judge(session(cookie=given), presented(cookie=shown), STRICT, NOW)
    assert verdict == (ROTATED if given == shown else Refuse(RefreshInvalid))


def test_the_audience_of_a_session_without_its_own_is_the_policys() -> None:
    policy = Policy(audience=ONE)
    for resource, verdict in ((ONE, ROTATED), ("api", Refuse(InvalidTarget))):
        shown = presented(requested=RequestedToken(None, (resource,)))
        assert judge(session(), shown, policy, NOW) == verdict


def test_a_spent_token_of_a_bound_session_is_reuse_only_with_the_proof() -> None:
    """Who stole the token, and not the key, has no say over the session."""
    row = session(jkt="k")
    without = presented(GENERATION - 2)
    assert judge(row, without, STRICT, NOW) == Refuse(InvalidProof)
