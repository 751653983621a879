"""The user of a session proves it anew: for a step that asks for it, or a password."""

from __future__ import annotations

from typing import TypedDict, Unpack

from watchword.core.session import Authenticated, TokenSet
from watchword.tokens.dpop import Signed


class PresentedSession(TypedDict, total=False):
    """How a refresh token came: see `Sessions.refresh`."""

    client_id: str
    retry_key: str | None
    address: str
    cookie: bool
    proof: Signed | None


class StepUp:
    """Proves users again who have a session."""

    async def by_password(
        self, token: str, password: str, **presented: Unpack[PresentedSession]
    ) -> TokenSet:
        """Rotate the session of a refresh token; its `auth_time` is now.

        Raises InvalidCredentials, Throttled, Overloaded with nothing spent; otherwise
        as `Sessions.refresh`.
        """
        raise NotImplementedError

    async def change_password(
        self,
        token: str,
        current: str,
        new: str,
        *,
        keep_session: bool,
        **presented: Unpack[PresentedSession],
    ) -> TokenSet | None:
        """Change the password, end the other sessions, and rotate this one.

        Without `keep_session` this one ends too, and None is returned. A retry with the
        same key finds what was done. Raises as `by_password`; PasswordRejected.
        """
        raise NotImplementedError

    async def replace_password(
        self,
        account_id: bytes,
        current: str,
        new: str,
        *,
        keep_session: bytes | None,
        address: str,
    ) -> Authenticated:
        """Change the password of the user who is signed in on the pages.

        Returns the proof for that session to go on with. Raises InvalidCredentials,
        PasswordRejected, Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError

    async def check(
        self, account_id: bytes, password: str, *, address: str
    ) -> Authenticated:
        """The account, if this is its password. It counts as an attempt to sign in.

        Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError
