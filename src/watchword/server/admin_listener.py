"""Whether a request came by the listener of WATCHWORD_ADMIN_LISTEN."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

MARK: Final = "at_admin_listener"
"""In the state of a scope: `ByListener` sets it, and no client can."""


def is_at_admin_listener(request: Request) -> bool:
    """Whether the request came by that listener, which serves operators alone."""
    return bool(request.scope.get("state", {}).get(MARK, False))
