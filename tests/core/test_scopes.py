"""Scopes with a meaning of their own."""

from __future__ import annotations

import pytest

from watchword.core.scopes import is_reserved


@pytest.mark.parametrize(
    ("scope", "reserved"),
    [("admin:read", True), ("admin:", True), ("admin", False), ("an-admin:x", False)],
)
def test_no_scope_looks_like_a_right(scope: str, reserved: bool) -> None:  # noqa: FBT001
    assert is_reserved(scope) is reserved
