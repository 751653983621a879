"""Another mail address for an account, and the way back to the one before.

The old address stays until the new one is confirmed. Then it gets a way back, by which
the owner takes the account from a thief: for a week, and whatever the thief does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.invitations import CheckPassword
from watchword.accounts.links import Links
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration_rules import RegistrationRules
from watchword.accounts.rows import AccountRows, Change, changed
from watchword.clocks import Clock
from watchword.core import limits, one_time_token
from watchword.core.actor import Actor, By
from watchword.core.network import caller_of
from watchword.core.one_time_token import LIVES, TokenPurpose
from watchword.errors import (
    ConfirmationInvalid,
    EmailTaken,
    InvalidCredentials,
    NotFound,
    Throttled,
)
from watchword.factors.registry import Factors
from watchword.mail.addresses import EmailAddress, masked
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided
from watchword.mail.writing import MailWriter
from watchword.notices import Notices
from watchword.passwords import UNUSABLE
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import EventType
from watchword.ports.confirmations import Confirmation, ConfirmationStore, Purpose
from watchword.ports.outbox import Lane


class EmailChanges:
    """Changes the mail addresses of accounts."""

    def __init__(
        self,
        *,
        rules: RegistrationRules,
        accounts: AccountStore,
        rows: AccountRows,
        confirmations: ConfirmationStore,
        links: Links,
        account_limits: AccountLimits,
        notices: Notices,
        recovery: Recovery,
        mail: MailWriter,
        check_password: CheckPassword,
        factors: Factors,
        clock: Clock,
    ) -> None:
        self._factors = factors
        self._rules = rules
        self._accounts = accounts
        self._rows = rows
        self._confirmations = confirmations
        self._links = links
        self._limits = account_limits
        self._notices = notices
        self._recovery = recovery
        self._mail = mail
        self._check_password = check_password
        self._clock = clock

    async def ask(self, account_id: bytes, email: str, *, by: By) -> None:
        """Mail a token to the new address. The old one stays until it comes back.

        Raises NotFound, EmailInvalid, EmailTaken, Throttled, StoreUnavailable.
        """
        if by.actor is Actor.USER:
            self._rules.check_domain(self._mail.read_address(email))
            await self._limits.asking(by.address)
            await self._limits.changing(account_id, "address")
            await self._check_ways_back(account_id)
        await self._ask(account_id, email, by)

    async def _check_ways_back(self, account_id: bytes) -> None:
        """Raises Throttled where the address was changed too often in the last week."""
        open_until = [one.until for one in await self._open(account_id, Purpose.REVERT)]
        if len(open_until) >= limits.WAYS_BACK_MAX:
            wait = min(open_until) - self._clock()
            message = "The address was changed too often: try again later."
            raise Throttled(message, retry_after=wait // limits.SECOND + 1)

    async def _ask(self, account_id: bytes, email: str, by: By) -> None:
        change = await self.assignment(account_id, email, confirmed=False, by=by)
        kind = EventType.ACCOUNT_CHANGED
        await self._rows.update(account_id, change, kind, "address asked", by)

    async def check_free(
        self, wanted: EmailAddress, account: Account | None = None
    ) -> None:
        """Raises EmailTaken unless the address can become that account's.

        Whether it is held is found when it is written. The address that the account
        has is taken too.
        """
        named = await self._accounts.by_name(wanted.key)
        is_own = account is not None and named is not None and named.id == account.id
        if await self._accounts.by_email(wanted.key) is not None or not (
            named is None or is_own
        ):
            raise EmailTaken

    async def _free(self, account_id: bytes, email: str) -> EmailAddress:
        """The address. Raises NotFound, EmailInvalid, EmailTaken as `check_free`."""
        account = await self._rows.current(account_id)
        wanted = self._mail.read_address(email)
        await self.check_free(wanted, account)
        return wanted

    def _token(
        self,
        account: Account,
        address: EmailAddress,
        mail: MailPurpose,
        purpose: Purpose,
        *,
        other: str = "",
    ) -> tuple[Confirmation, Mail]:
        """What the token to that address grants, and its mail, which names `other`."""
        kind, now = TokenPurpose(purpose), self._clock()
        token = self._mail.token(kind)
        confirmation = Confirmation(
            token_hash=one_time_token.hash_of(token),
            account_id=account.id,
            purpose=purpose,
            email=address.email,
            email_key=address.key,
            created_at=now,
            until=now + LIVES[kind],
        )
        return confirmation, Mail(
            purpose=mail,
            at=now,
            locale=account.locale,
            to=address.email,
            account_id=account.id,
            token=token,
            masked=other,
        )

    async def decide(self, mail: Mail) -> Decided | None:
        """What becomes of a mail to a new address; None: it is not sent."""
        found = await self._confirmations.by_token(one_time_token.hash_of(mail.token))
        if found is None or found.until <= self._clock():
            return None
        return Decided(mail, Lane.UNKNOWN)

    async def waiting(self, account_id: bytes) -> str:
        """The new address, masked, that waits for its confirmation; or ""."""
        waiting = await self._open(account_id, Purpose.EMAIL)
        return masked(waiting[-1].email) if waiting else ""

    async def _open(self, account_id: bytes, purpose: Purpose) -> list[Confirmation]:
        """What the account has of that purpose and may still be used."""
        return [
            one
            for one in await self._confirmations.of_account(account_id)
            if one.purpose is purpose and one.until > self._clock()
        ]

    async def confirm(
        self,
        token: str,
        *,
        account_id: bytes | None = None,
        password: str = "",
        address: str = "",
    ) -> None:
        """Make the new address the account's, and open a way back to the old one.

        The caller is signed in as `account_id`, or gives the account's password. That
        is not enough where a second factor was added since the address was asked for.
        Raises ConfirmationInvalid, also for another account; InvalidCredentials,
        EmailTaken, Throttled, Overloaded, StoreUnavailable.
        """
        await self._limits.confirming(address)
        found = await self._links.confirmation(token, TokenPurpose.EMAIL)
        owner = found.account_id
        if owner is None or account_id not in {None, owner}:
            raise ConfirmationInvalid
        epoch = None
        if account_id is None:
            proved = await self._check_password(owner, password, address=address)
            epoch = proved.epoch
            factors = (await self._factors.of(owner)).factors
            if factors and found.created_at < factors[0].created_at:
                raise ConfirmationInvalid

        async def change(before: Account) -> Change:
            if before.disabled:
                raise ConfirmationInvalid
            if epoch not in {None, before.epoch}:
                raise InvalidCredentials  # that was the password before
            return await self._moved(before, _address_of(found))

        await self._spend(found, owner, change, "address", By(Actor.USER, address))

    async def _moved(self, before: Account, new: EmailAddress) -> Change:
        """The account at its new address, with a way back to the one before."""
        old, other = before.email_key, masked(new.email)
        outbox = await self._notices.of(
            before, MailPurpose.EMAIL_CHANGED, masked=other, but={old, new.key}
        )
        after = _at(before, new, self._clock())
        if before.email is None or old is None or old == new.key:
            return Change(after=after, outbox=outbox)
        way_back, mail = self._token(
            before,
            EmailAddress(before.email, old),
            MailPurpose.EMAIL_CHANGED,
            Purpose.REVERT,
            other=other,
        )
        # Later ways back die with an earlier one, also where the clock was set back.
        earlier = await self._confirmations.of_account(before.id)
        after_them = max((one.created_at + 1 for one in earlier), default=0)
        way_back = msgspec.structs.replace(
            way_back, created_at=max(way_back.created_at, after_them)
        )
        told = self._mail.message(mail, Lane.CONFIRMED)
        return Change(after=after, outbox=(told, *outbox), grants=(way_back,))

    async def _spend(
        self,
        found: Confirmation,
        owner: bytes,
        change: Callable[[Account], Awaitable[Change]],
        what: str,
        by: By,
    ) -> None:
        kind = EventType.ACCOUNT_CHANGED
        try:
            await self._rows.update(
                owner, change, kind, what, by, spends=found.token_hash
            )
        except NotFound:  # deleted meanwhile
            raise ConfirmationInvalid from None

    async def revert(self, token: str, *, address: str = "") -> None:
        """Go back to the old address, and take the account from a thief.

        The password is gone, and a reset is mailed to the old address. Second factors
        that were added since the change are gone; the reset asks for older ones.
        Raises ConfirmationInvalid, Throttled, StoreUnavailable.
        """
        await self._limits.confirming(address)
        found = await self._links.confirmation(token, TokenPurpose.REVERT)
        owner, old = found.account_id, _address_of(found)
        if owner is None:
            raise ConfirmationInvalid

        async def change(before: Account) -> Change:
            after = msgspec.structs.replace(
                _at(before, old, self._clock()),
                password_hash=UNUSABLE,
                epoch=before.epoch + 1,
            )
            reset, mail = self._recovery.granted(after)
            # The address that it has until now may be the owner's too.
            told = await self._notices.of(
                before,
                MailPurpose.EMAIL_CHANGED,
                masked=masked(old.email),
                but={old.key},
            )
            return Change(
                after=after,
                outbox=(mail, *told),
                grants=(reset,),
                # When the address was changed: `created_at` may be later.
                drops_factors_after=found.until - LIVES[TokenPurpose.REVERT],
            )

        by = By(Actor.USER, address)
        async with self._rows.ending(owner, by=by):
            await self._spend(found, owner, change, "address taken back", by)

    async def assign(
        self, account_id: bytes, email: str, *, confirmed: bool, by: By
    ) -> None:
        """Give the account an address, for an operator.

        Without `confirmed` it waits for its confirmation, and another account may still
        take it. Raises NotFound, also where no mail can ask for that; EmailInvalid,
        EmailTaken.
        """
        if not confirmed:
            await self._ask(account_id, email, by)
            return
        change = await self.assignment(account_id, email, confirmed=True, by=by)
        kind = EventType.ACCOUNT_CHANGED
        await self._rows.update(account_id, change, kind, "address", by)

    async def assignment(
        self, account_id: bytes, email: str, *, confirmed: bool, by: By
    ) -> Callable[[Account], Awaitable[Change]]:
        """The change of the account's row that `assign` makes. Raises as it does."""
        if not confirmed:
            self._mail.require()
        new = await self._free(account_id, email)

        async def ask(before: Account) -> Change:
            confirmation, mail = self._token(
                before, new, MailPurpose.CONFIRM_EMAIL, Purpose.EMAIL
            )
            network = caller_of(by.address)
            message = self._mail.message(mail, Lane.UNKNOWN, network=network)
            # An address without proof is shown where there is no proved one.
            shown = new.email if before.email_key is None else before.email
            return Change(
                after=changed(before, email=shown),
                outbox=(message,),
                grants=(confirmation,),
            )

        async def give(before: Account) -> Change:
            # No way back: an operator may act because the old mailbox is a thief's.
            told = await self._notices.of(
                before,
                MailPurpose.EMAIL_CHANGED,
                masked=masked(new.email),
                but={new.key},
            )
            return Change(after=_at(before, new, self._clock()), outbox=told)

        return give if confirmed else ask


def _address_of(found: Confirmation) -> EmailAddress:
    return EmailAddress(found.email, found.email_key)


def _at(account: Account, address: EmailAddress, now: int) -> Account:
    """The account at that address. A name that is its old address moves with it."""
    named_by_it = account.name == account.email_key
    return changed(
        account,
        name=address.key if named_by_it else account.name,
        email=address.email,
        email_key=address.key,
        email_confirmed_at=now,
    )
