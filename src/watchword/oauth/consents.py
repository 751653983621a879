"""What users have allowed clients to have: asked for, remembered, withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import By, EndReason
from watchword.core.authorize import Granted
from watchword.errors import InvalidCredentials, NotFound
from watchword.ports.audit import Event, EventType
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

    async def remembered(self, account_id: bytes, client_id: str) -> Granted | None:
        """What the user has allowed that client before, None for nothing."""
        row = await self._consents.load(account_id, client_id)
        return None if row is None else Granted(row.scope, row.resource)

    async def covers(
        self,
        account_id: bytes,
        client: Client,
        scope: Sequence[str],
        resources: Sequence[str],
    ) -> bool:
        """Whether the user has allowed all of that, or the client is trusted."""
        if client.trusted:
            return True
        known = await self.remembered(account_id, client.id)
        return known is not None and known.covers(
            Granted(tuple(scope), tuple(resources))
        )

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
        now = self._clock()
        before = await self._consents.load(account_id, client.id)
        known = before or Consent(
            account_id=account_id,
            client_id=client.id,
            scope=(),
            resource=(),
            created_at=now,
            used_at=now,
        )
        after = Consent(
            account_id=account_id,
            client_id=client.id,
            scope=_joined(known.scope, scope),
            resource=_joined(known.resource, resources),
            created_at=known.created_at,
            used_at=now,
        )
        event = None
        if before is None or (after.scope, after.resource) != (
            before.scope,
            before.resource,
        ):
            event = self._event(
                EventType.CONSENT_GIVEN, account_id, client.id, by, after.scope
            )
        if not await self._consents.put(after, event):
            raise InvalidCredentials

    async def used(self, account_id: bytes, client_id: str) -> None:
        """A code is made by what the user has allowed: note when, once an hour."""
        row, now = await self._consents.load(account_id, client_id), self._clock()
        if row is not None and now - row.used_at >= limits.CONSENT_USE_WRITTEN:
            await self._consents.used(account_id, client_id, now)

    async def of_account(self, account_id: bytes) -> list[Consent]:
        """What the user has allowed, in order of client id."""
        return await self._consents.of_account(account_id)

    async def withdraw(self, account_id: bytes, client_id: str, *, by: By) -> int:
        """Forget it, and end the client's sessions of this account. Returns how many.

        Raises NotFound where there is neither.
        """
        event = self._event(EventType.CONSENT_WITHDRAWN, account_id, client_id, by)
        # First: a code that is redeemed meanwhile finds no consent, or its session is
        # in the list.
        was_there = await self._consents.drop(account_id, client_id, event)
        count = await self._end_sessions(account_id, client_id, by)
        if not (was_there or count):
            raise NotFound
        return count

    async def _end_sessions(self, account_id: bytes, client_id: str, by: By) -> int:
        count, after = 0, None
        while True:
            page = await self._sessions.page(account_id, after=after)
            for one in page.sessions:
                if one.client_id == client_id:
                    count += await self._sessions.end_one(
                        one.id, EndReason.CONSENT_WITHDRAWN, by=by
                    )
            after = page.onward
            if after is None:
                return count

    def _event(
        self,
        kind: EventType,
        account_id: bytes,
        client_id: str,
        by: By,
        scope: Sequence[str] = (),
    ) -> Event:
        detail = {"scope": " ".join(scope)} if scope else {}
        return Event(
            type=kind,
            at=self._clock(),
            account_id=account_id,
            client_id=client_id,
            address=by.address,
            detail=by.detail(**detail),
        )


def _joined(known: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))
