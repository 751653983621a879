"""Which policy a session has: that of its client.

The session of a browser at this server has lifetimes of its own, whatever those of the
sessions that apps begin.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.core import limits
from watchword.core.session import Alive, Policy

PAGES: Final = "_pages"
"""The client of the pages of this server: built in, with no grant.

The id of no other client begins with `_`. No token but the one in the cookie of the
browser is ever issued to it.
"""

FIRST_PARTY_ID: Final = "first-party"
"""The client of the user's own app, which signs in by name and password: built in."""

SIGN_IN: Final = Policy(
    refresh_idle=limits.SIGN_IN_IDLE,
    refresh_absolute=limits.SIGN_IN_ABSOLUTE,
    grace=limits.BROWSER_GRACE,
)
"""For the session of a browser at this server, unless settings say otherwise."""


class Policies(msgspec.Struct, frozen=True):
    """The policy of the sessions of apps, and that of the pages' own."""

    apps: Policy
    pages: Policy = SIGN_IN

    def of(self, client_id: str) -> Policy:
        """The policy of the sessions of that client."""
        return self.pages if client_id == PAGES else self.apps

    def maybe_alive(self, now: int) -> Alive:
        """What a session that ends after `now` has at least, whatever its client."""
        apps, pages = Alive.at(now, self.apps), Alive.at(now, self.pages)
        return Alive(
            apps.deadline,
            min(apps.rotated_at, pages.rotated_at),
            min(apps.authenticated_at, pages.authenticated_at),
        )
