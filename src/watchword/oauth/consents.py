"""What users have allowed clients to have: asked for, remembered, withdrawn."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.clocks import Clock
from watchword.core.actor import By
from watchword.ports.clients import Client
from watchword.ports.consents import Consent, ConsentStore
from watchword.sessions import Sessions


class Consents:
    """The consents of accounts."""

    def __init__(
        self, *, consents: ConsentStore, sessions: Sessions, clock: Clock
    ) -> None:
        self._consents = consents
        self._sessions = sessions
        self._clock = clock

    async def covers(
        self,
        account_id: bytes,
        client: Client,
        scope: Sequence[str],
        resources: Sequence[str],
    ) -> bool:
        """Whether the user has allowed all of that, or the client is trusted."""
        raise NotImplementedError

    async def remember(
        self,
        account_id: bytes,
        client: Client,
        scope: Sequence[str],
        resources: Sequence[str],
        *,
        by: By,
    ) -> None:
        """The user allows that, besides what it has allowed before.

        Raises InvalidCredentials where the account is gone, StoreUnavailable.
        """
        raise NotImplementedError

    async def of_account(self, account_id: bytes) -> list[Consent]:
        """What the user has allowed, in order of client id."""
        return await self._consents.of_account(account_id)

    async def withdraw(self, account_id: bytes, client_id: str, *, by: By) -> int:
        """Forget it, and end the client's sessions of this account. Returns how many.

        Raises NotFound where there is neither.
        """
        raise NotImplementedError
