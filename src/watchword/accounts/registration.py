"""Registration and invitation: an account exists once mailbox and asker are proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchword.core.actor import By
from watchword.core.session import Authenticated


class Registrations:
    """Registers users, and accepts invitations."""

    async def ask(
        self,
        email: str,
        password: str,
        *,
        username: str | None = None,
        locale: str = "",
        address: str = "",
    ) -> str:
        """Keep a registration until its mailbox is proved; returns its handle `ww_rg_`.

        The same work is done whether or not the address has an account. Raises
        NotFound where registration is closed or no mail can be sent, EmailInvalid,
        NameInvalid, PasswordRejected, Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError

    async def resend(self, handle: str, *, address: str = "") -> None:
        """Send the mail of a registration again, with a new token.

        An unknown handle costs the same. Raises NotFound, Throttled, StoreUnavailable.
        """
        raise NotImplementedError

    async def is_asker(self, token: str, handles: Sequence[str]) -> bool:
        """Whether one of the handles is that of the registration of this token.

        Raises ConfirmationInvalid.
        """
        raise NotImplementedError

    async def confirm(
        self,
        token: str,
        *,
        handles: Sequence[str] = (),
        password: str = "",
        username: str | None = None,
        address: str = "",
    ) -> Authenticated:
        """Make the account, for a token and one of: its handle, its password.

        `username` takes the place of one that is taken. Raises ConfirmationInvalid;
        InvalidCredentials for a wrong handle or password; NameTaken, NameInvalid,
        EmailTaken, Throttled, Overloaded, StoreUnavailable, with nothing spent.
        """
        raise NotImplementedError

    async def invite(
        self, email: str, *, roles: Iterable[str] = (), locale: str = "", by: By
    ) -> None:
        """Mail an invitation. Raises EmailInvalid, InvalidRequest, NotFound."""
        raise NotImplementedError

    async def accept(
        self,
        token: str,
        password: str,
        *,
        username: str | None = None,
        address: str = "",
    ) -> Authenticated:
        """Make the account of an invitation, or give its roles to one that exists.

        Where the address has an account, `password` must be that account's. Raises
        ConfirmationInvalid, InvalidCredentials, PasswordRejected, NameTaken,
        NameInvalid, Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError
