"""A forgotten password: a token by mail, then a new password."""

from __future__ import annotations


class Recovery:
    """Resets passwords."""

    async def ask(self, email: str, *, address: str = "") -> None:
        """Ask for a reset by mail. The same work is done for an unknown address.

        Raises NotFound where no mail can be sent, EmailInvalid, Throttled,
        StoreUnavailable.
        """
        raise NotImplementedError

    async def send(self, account_id: bytes) -> None:
        """Mail a reset to an account, for an operator. Raises NotFound."""
        raise NotImplementedError

    async def reset(self, token: str, password: str, *, address: str = "") -> None:
        """Give the account a new password, and end all of its sessions.

        Raises ConfirmationInvalid; PasswordRejected, Throttled, Overloaded,
        StoreUnavailable, with nothing spent.
        """
        raise NotImplementedError
