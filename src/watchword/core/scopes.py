"""Scopes with a meaning of their own at this server."""

from __future__ import annotations

from typing import Final

OPENID: Final = "openid"
"""The client gets an ID token, and may ask for userinfo (OpenID Connect Core §3.1)."""

OFFLINE_ACCESS: Final = "offline_access"
"""The session survives a sign-out of its user (OpenID Connect Core §11).

It says how long the tokens are good, and nothing of what they are good for.
"""

ROLES: Final = "roles"
"""Another client than `first-party` learns the roles of the user."""

ALWAYS: Final = (OPENID, "profile", "email", OFFLINE_ACCESS)
"""What every client may ask for."""

ADMIN_SCOPES: Final = "admin:"
"""What no scope may begin with: it would look like a right of a client."""


def is_reserved(scope: str) -> bool:
    """Whether no client may have that scope."""
    return scope.startswith(ADMIN_SCOPES)
