"""The roles of accounts in their sessions."""

from __future__ import annotations

from watchword.core.actor import SYSTEM, EndReason
from watchword.factors.registry import Factors
from watchword.ports.accounts import AccountStore
from watchword.sessions import Sessions


class SessionRoles:
    """Gives the sessions of accounts the roles that the accounts have."""

    def __init__(
        self, *, accounts: AccountStore, sessions: Sessions, factors: Factors
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._factors = factors

    async def give(self, account_id: bytes) -> None:
        """Give the account's sessions the roles that the account has.

        Where the roles demand a second factor, sessions that have shown none end. Two
        callers may change roles at once, and the first to write may reach the sessions
        last. So the account is read again, until they have the roles of its latest row.
        """
        given = None
        while True:
            account = await self._accounts.by_id(account_id)
            if account is None or account.roles == given:
                return
            given = account.roles
            if (await self._factors.of(account_id, given)).is_demanded:
                reason = EndReason.FACTOR_REQUIRED
                await self._sessions.end_weaker(account_id, reason, by=SYSTEM)
            await self._sessions.assign_roles(account_id, given)
