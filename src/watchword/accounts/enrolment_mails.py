"""A token to enrol the first factor with, by mail: it shows that its user reads that.

A thief of a password asks for it in vain. Those that are open are kept few, and none is
replaced by another: the owner can use any of them, however often a thief asks.
"""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock
from watchword.core import limits, one_time_token
from watchword.core.actor import By
from watchword.core.one_time_token import TokenPurpose
from watchword.core.session import Authenticated
from watchword.factors.rows import enrolment_of
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided
from watchword.mail.writing import MailWriter
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.credentials import CredentialKind, CredentialStore
from watchword.ports.outbox import Lane


class EnrolmentMails:
    """Mails tokens for enrolling, and decides later which of the mails are sent."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        credentials: CredentialStore,
        mail: MailWriter,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._credentials = credentials
        self._mail = mail
        self._clock = clock

    async def write(self, authenticated: Authenticated, *, by: By) -> None:
        """Mail a token to the confirmed address of the account, if there is one.

        Nothing is written where the account has changed since it was proved, where no
        mail can be sent, and where the account has several tokens already. Raises
        StoreUnavailable.
        """
        account = await self._accounts.by_id(authenticated.account_id)
        if (
            account is None
            or account.epoch != authenticated.epoch
            or not (self._mail.can_send and _can_be_written(account))
        ):
            return
        token, now = self._mail.token(TokenPurpose.ENROL), self._clock()
        row = enrolment_of(
            account.id, token, now, limits.ENROL_LIFE, address=account.email_key or ""
        )
        mail = Mail(
            purpose=MailPurpose.ENROL,
            at=now,
            locale=account.locale,
            account_id=account.id,
            token=token,
        )
        event = Event(
            type=EventType.ENROLMENT_ASKED,
            at=now,
            account_id=account.id,
            address=by.address,
            detail=by.detail(),
        )
        trail = Trail((event,), (self._mail.message(mail, Lane.CONFIRMED),))
        await self._credentials.add([row], trail, at_most=limits.CONFIRMATIONS_LIVE)

    async def decide(self, mail: Mail) -> Decided | None:
        """What becomes of such a mail of the outbox; None: its token is gone."""
        if mail.account_id is None:
            return None
        account = await self._accounts.by_id(mail.account_id)
        token_hash = one_time_token.hash_of(mail.token)
        row = await self._credentials.by_key(CredentialKind.ENROLMENT, token_hash)
        if (
            account is None
            or row is None
            or not _can_be_written(account)
            or account.email_key != row.label  # the address of that moment
        ):
            return None
        told = msgspec.structs.replace(
            mail, to=account.email or "", locale=account.locale
        )
        return Decided(told, Lane.CONFIRMED)


def _can_be_written(account: Account) -> bool:
    return not account.disabled and account.email_confirmed_at is not None
