"""The claims of a user (OpenID Connect Core §5.3), by the scopes of a token."""

from __future__ import annotations

from typing import Any

from watchword.accounts.registry import Accounts
from watchword.core.access_token import Claims


class UserInfo:
    """Answers what a client may know of a user."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def of(self, claims: Claims) -> dict[str, Any]:
        """The claims for an access token that has been checked.

        Raises InsufficientScope without `openid`, TokenRevoked where the account is
        gone or disabled.
        """
        raise NotImplementedError
