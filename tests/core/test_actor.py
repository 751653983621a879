"""What the audit log says of a caller."""

from __future__ import annotations

import pytest

from tests.core.test_rotation import NOW, session
from watchword.core.actor import APP, SYSTEM, Actor, By
from watchword.core.limits import MINUTE
from watchword.core.session import Policy


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (APP, {"by": "app"}),
        (SYSTEM, {"by": "system"}),
        (By(Actor.USER, "192.0.2.1"), {"by": "user"}),
        (By(Actor.OPERATOR, name="root"), {"by": "operator", "operator": "root"}),
        (By(Actor.CLIENT, name=""), {"by": "client"}),
    ],
)
def test_the_detail_says_who_beside_what_else_is_told(
    by: By, told: dict[str, str]
) -> None:
    assert by.detail() == told
    assert by.detail(change="roles") == {"change": "roles", **told}


def test_a_rotation_renews_the_idle_lifetime_and_never_the_absolute_one() -> None:
    row = session(expires_at=NOW + 3 * MINUTE, authenticated_at=NOW - MINUTE)
    assert row.renewable_until(Policy(refresh_idle=MINUTE), NOW) == NOW + MINUTE
    assert row.renewable_until(Policy(), NOW) == NOW + 3 * MINUTE
    shorter = Policy(refresh_absolute=2 * MINUTE)
    assert row.renewable_until(shorter, NOW) == NOW + MINUTE
