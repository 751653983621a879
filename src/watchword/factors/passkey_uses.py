"""Each use of a passkey moves its row: the counter, and when it was used."""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.session import as_text
from watchword.core.throttle import Cost
from watchword.errors import SecondFactorInvalid
from watchword.mail.message import MailPurpose
from watchword.notices import FactorNotices
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.credentials import Credential, CredentialStore
from watchword.ports.outbox import Message
from watchword.ports.throttle import Throttle


class PasskeyUses:
    """Moves rows of passkeys, and tells of those that may have been copied."""

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        notices: FactorNotices,
        throttle: Throttle,
        clock: Clock,
    ) -> None:
        self._credentials = credentials
        self._throttle = throttle
        self._notices = notices
        self._clock = clock

    async def moved(
        self, row: Credential, counter: int, *, is_synced: bool
    ) -> Credential:
        """The row after a use with that counter. Raises SecondFactorInvalid.

        A counter that does not rise says that the passkey may have been copied
        (WebAuthn §6.1.1). A synced passkey is in several places, and few count: the
        owner is told once an hour, no more. One that is bound to its device is refused
        besides.
        """
        tells: bool | None = None
        while True:
            is_back = 0 < row.step >= counter
            is_refused = is_back and not is_synced
            after = msgspec.structs.replace(
                row,
                used_at=row.used_at if is_refused else self._clock(),
                step=row.step if is_refused else counter,
                version=row.version + 1,
            )
            trail = Trail()
            if is_back:
                if tells is None:
                    tells = await self._may_tell(row.account_id)
                event = self._event(row, counter, is_refused=is_refused)
                mails = await self._mails(row.account_id) if tells else ()
                trail = Trail((event,), mails)
            if await self._credentials.swap(row, after, trail):
                break
            # Another use was first, or the passkey is gone.
            found = await self._credentials.by_key(row.kind, row.key)
            if found is None or found.id != row.id:
                raise SecondFactorInvalid
            row = found
        if is_back and tells:
            self._notices.told(row.account_id, MailPurpose.PASSKEY_COUNTER)
        if is_refused:
            raise SecondFactorInvalid
        return after

    async def _may_tell(self, account_id: bytes) -> bool:
        key = f"passkey-counter-told:{account_id.hex()}"
        cost = Cost(key, 1, limits.FACTOR_TOLD_INTERVAL)
        return not await self._throttle.take([cost], self._clock())

    async def _mails(self, account_id: bytes) -> tuple[Message, ...]:
        return await self._notices.of(account_id, MailPurpose.PASSKEY_COUNTER)

    def _event(self, row: Credential, counter: int, *, is_refused: bool) -> Event:
        return Event(
            type=EventType.PASSKEY_COUNTER,
            at=self._clock(),
            account_id=row.account_id,
            detail={
                "factor": as_text(row.id),
                "was": row.step,
                "is": counter,
                "refused": is_refused,
            },
        )
