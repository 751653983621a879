"""The sign-in of a browser at this server: the session that the pages stand on.

It is a session of the client `_pages`. Its cookie is not rotated by use, because a
browser loads pages side by side and ahead of time. It is rotated by each sign-in.
"""

from __future__ import annotations

from watchword.core.actor import By
from watchword.core.session import Authenticated, Session, TokenSet


class BrowserSignIn:
    """Begins, finds and ends the sessions of browsers."""

    async def begin(
        self,
        authenticated: Authenticated,
        *,
        cookie: str = "",
        address: str,
        user_agent: str,
    ) -> TokenSet:
        """The session of this browser, signed in now.

        `cookie` is what the browser has. A session of the same account goes on under a
        new token; one of another account ends. Raises InvalidCredentials if the account
        has changed meanwhile, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError

    async def session_of(
        self, cookie: str, *, address: str, user_agent: str = ""
    ) -> Session | None:
        """The session of that cookie, if it is alive, and note its use.

        Raises StoreUnavailable.
        """
        raise NotImplementedError

    async def end(self, cookie: str, *, by: By) -> None:
        """End the session of that cookie, if there is one. Raises StoreUnavailable."""
        raise NotImplementedError
