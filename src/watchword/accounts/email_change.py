"""Another mail address for an account, and the way back to the one before."""

from __future__ import annotations

from watchword.core.actor import By


class EmailChanges:
    """Changes the mail addresses of accounts."""

    async def ask(self, account_id: bytes, email: str, *, by: By) -> None:
        """Mail a token to the new address. The old one stays until it comes back.

        Raises NotFound, EmailInvalid, EmailTaken, Throttled, StoreUnavailable.
        """
        raise NotImplementedError

    async def waiting(self, account_id: bytes) -> str:
        """The new address, masked, that waits for its confirmation; or ""."""
        raise NotImplementedError

    async def confirm(
        self,
        token: str,
        *,
        account_id: bytes | None = None,
        password: str = "",
        address: str = "",
    ) -> None:
        """Make the new address the account's, and open a way back to the old one.

        The caller is signed in as `account_id`, or gives the account's password. Raises
        ConfirmationInvalid, also for another account; InvalidCredentials, EmailTaken,
        Throttled, Overloaded, StoreUnavailable.
        """
        raise NotImplementedError

    async def revert(self, token: str, *, address: str = "") -> None:
        """Go back to the old address, and take the account from a thief.

        Raises ConfirmationInvalid, Throttled, StoreUnavailable.
        """
        raise NotImplementedError

    async def assign(
        self, account_id: bytes, email: str, *, confirmed: bool, by: By
    ) -> None:
        """Give the account an address, for an operator.

        Without `confirmed` it waits for its confirmation, and another account may still
        take it. Raises NotFound, EmailInvalid, EmailTaken.
        """
        raise NotImplementedError
