"""A forgotten password: a token by mail, then a new password.

An account with a second factor needs that as well, so that a mailbox alone opens no
account. The token and the factor are spent together, with the new password.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.links import Links
from watchword.accounts.names import password_names
from watchword.accounts.rows import AccountRows, Change, changed
from watchword.clocks import Clock
from watchword.core import limits, one_time_token
from watchword.core.actor import APP, Actor, By
from watchword.core.network import caller_of
from watchword.core.one_time_token import TokenPurpose
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    NotFound,
    SecondFactorRequired,
)
from watchword.factors.enrolled import Enrolled
from watchword.factors.proof import FactorProof, Proved
from watchword.factors.prove import FactorProofs
from watchword.factors.registry import Factors
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided, Replaced
from watchword.mail.writing import MailWriter
from watchword.notices import Notices
from watchword.passwords import PasswordHasher
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import EventType, Trail
from watchword.ports.confirmations import Confirmation, ConfirmationStore, Purpose
from watchword.ports.outbox import Lane, Message, Outbox

NO_RESET: Final = "The account is disabled, or has no confirmed mail address."


class ResetContinuation(msgspec.Struct, frozen=True):
    """What the ticket of a reset says: its token was shown, and a factor is to come.

    `token_hash` is that of the token, which MUST come again with the factor: so the
    ticket is of use to no other caller.
    """

    account_id: bytes
    token_hash: bytes


class Recovery:
    """Resets passwords."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        rows: AccountRows,
        confirmations: ConfirmationStore,
        outbox: Outbox,
        links: Links,
        account_limits: AccountLimits,
        notices: Notices,
        mail: MailWriter,
        hasher: PasswordHasher,
        factors: Factors,
        proofs: FactorProofs,
        tickets: Tickets,
        clock: Clock,
    ) -> None:
        self._factors = factors
        self._proofs = proofs
        self._tickets = tickets
        self._accounts = accounts
        self._rows = rows
        self._confirmations = confirmations
        self._outbox = outbox
        self._links = links
        self._limits = account_limits
        self._notices = notices
        self._mail = mail
        self._hasher = hasher
        self._clock = clock

    async def ask(self, email: str, *, address: str = "") -> None:
        """Ask for a reset by mail. The same work is done for an unknown address.

        Raises NotFound where no mail can be sent, EmailInvalid, Throttled,
        StoreUnavailable.
        """
        self._mail.require()
        await self._limits.asking(address)
        mail = Mail(
            purpose=MailPurpose.RESET,
            at=self._clock(),
            to=self._mail.read_address(email).email,
        )
        network = caller_of(address)
        await self._outbox.add(
            [self._mail.message(mail, Lane.UNKNOWN, network=network)]
        )

    async def send(
        self, account_id: bytes, *, version: int | None = None, by: By = APP
    ) -> None:
        """Mail a reset to an account, for an operator.

        Raises NotFound, also where no mail can be sent, and for an account that is
        disabled or has no confirmed address; VersionChanged.
        """
        self._mail.require()

        async def grant(before: Account) -> Change:
            if not can_reset(before):
                raise NotFound(NO_RESET)
            confirmation, message = self.granted(before)
            return Change(
                after=changed(before), outbox=(message,), grants=(confirmation,)
            )

        kind = EventType.ACCOUNT_CHANGED
        await self._rows.update(
            account_id, grant, kind, "reset sent", by, version=version
        )

    def granted(self, account: Account) -> tuple[Confirmation, Message]:
        """A reset for an account with a confirmed address, and the mail of it.

        Both are to be written in one transaction.
        """
        token, now = self._mail.token(TokenPurpose.RESET), self._clock()
        mail = Mail(
            purpose=MailPurpose.RESET,
            at=now,
            locale=account.locale,
            account_id=account.id,
            token=token,
        )
        return _confirmation(account, mail), self._mail.message(mail, Lane.CONFIRMED)

    async def decide(self, mail: Mail) -> Decided | Replaced | None:
        """What becomes of the mail of a reset; None: it is not sent.

        A mail without an account was asked for by an address. It becomes a reset that
        is granted, and a mail to the stored address, whatever spelling was asked for.
        """
        if mail.account_id is None:
            return await self._granted_to(mail)
        account = await self._accounts.by_id(mail.account_id)
        found = await self._confirmations.by_token(one_time_token.hash_of(mail.token))
        # It was granted for the address of that moment.
        if (
            account is None
            or found is None
            or not can_reset(account)
            or found.until <= self._clock()
            or found.email_key != account.email_key
        ):
            return None
        told = msgspec.structs.replace(mail, to=found.email, locale=account.locale)
        return Decided(told, Lane.CONFIRMED)

    async def _granted_to(self, asked: Mail) -> Replaced | None:
        key = self._mail.read_address(asked.to).key
        account = await self._accounts.by_email(key)
        is_late = asked.at + limits.RESET_LIFE <= self._clock()
        if account is None or not can_reset(account) or is_late:
            return None

        async def write(due: int) -> Message:
            # In one transaction: a crash leaves either both, or what was asked.
            confirmation, message = self.granted(account)
            message = msgspec.structs.replace(message, not_before=due)
            await self._confirmations.add(confirmation, Trail(outbox=(message,)))
            return message

        return Replaced(msgspec.structs.replace(asked, to=account.email or ""), write)

    async def second_step(
        self, token: str, *, address: str = ""
    ) -> SecondFactorRequired | None:
        """What `reset` would ask for besides the token; None: no factor is needed.

        Nothing is spent. Raises ConfirmationInvalid, Throttled, StoreUnavailable.
        """
        await self._limits.confirming(address)
        found, account = await self._opened(token)
        enrolled = await self._factors.of(account.id)
        return self._asked(found, enrolled) if enrolled.factors else None

    async def reset(
        self,
        token: str,
        password: str,
        *,
        continuation: str = "",
        proof: FactorProof | None = None,
        address: str = "",
    ) -> None:
        """Give the account a new password, and end all of its sessions.

        An account with a second factor needs its `proof` too, and the `continuation`
        that an earlier call without them has raised. Raises ConfirmationInvalid;
        SecondFactorRequired, SecondFactorInvalid, ContinuationExpired,
        PasswordRejected, Throttled, Overloaded, StoreUnavailable, with nothing spent.
        """
        await self._limits.confirming(address)
        found, account = await self._opened(token)
        # Before the factor: a password that may not be set spends no code.
        hashed = await self._hasher.hash(
            password,
            names=password_names(account.name, account.email),
            address=caller_of(address),
        )
        proved = await self._proved(found, account, continuation, proof, address)
        await self._set(found, account.id, hashed, proved, By(Actor.USER, address))

    async def _set(
        self,
        found: Confirmation,
        owner: bytes,
        hashed: str,
        proved: Proved | None,
        by: By,
    ) -> None:
        """Write the new password, and spend the token and the factor with it."""

        async def change(before: Account) -> Change:
            row = _owned(before, found)
            if proved is None:
                await self._need_none(found, row)
            return Change(
                after=changed(row, password_hash=hashed, epoch=row.epoch + 1),
                outbox=await self._notices.of(row, MailPurpose.PASSWORD_CHANGED),
            )

        async with self._rows.ending(owner, by=by):
            try:
                await self._rows.update(
                    owner,
                    change,
                    EventType.PASSWORD_CHANGED,
                    "reset",
                    by,
                    spends=found.token_hash,
                    spends_code=None if proved is None else proved.spends,
                )
            except NotFound:  # deleted meanwhile
                raise ConfirmationInvalid from None

    def owner_of(self, continuation: str) -> tuple[bytes, str]:
        """The account of a reset that waits for a factor, and the name of its ticket.

        A passkey's challenge is bound to that name. Raises ContinuationExpired.
        """
        stated, name = self._stated(continuation)
        return stated.account_id, name

    def _stated(self, continuation: str) -> tuple[ResetContinuation, str]:
        try:
            stated = self._tickets.open(
                TicketPurpose.RESET, continuation, ResetContinuation
            )
        except TicketInvalid:
            raise ContinuationExpired from None
        return stated, self._tickets.id_of(continuation)

    async def _opened(self, token: str) -> tuple[Confirmation, Account]:
        """What the token grants, and its account. Raises ConfirmationInvalid."""
        found = await self._links.confirmation(token, TokenPurpose.RESET)
        assert found.account_id is not None  # noqa: S101 - resets have an account
        return found, _owned(await self._accounts.by_id(found.account_id), found)

    async def _proved(
        self,
        found: Confirmation,
        account: Account,
        continuation: str,
        proof: FactorProof | None,
        address: str,
    ) -> Proved | None:
        """The factor of the account; None where it has none. Raises as `reset`."""
        if proof is None:
            await self._need_none(found, account)
            return None
        stated, name = self._stated(continuation)
        if stated != ResetContinuation(account.id, found.token_hash):
            raise ContinuationExpired
        return await self._proofs.prove(
            account.id,
            proof,
            address=address,
            bound=name,
        )

    async def _need_none(self, found: Confirmation, account: Account) -> None:
        """Raises SecondFactorRequired where the account has a factor."""
        enrolled = await self._factors.of(account.id)
        if enrolled.factors:
            raise self._asked(found, enrolled)

    def _asked(self, found: Confirmation, enrolled: Enrolled) -> SecondFactorRequired:
        assert found.account_id is not None  # noqa: S101 - resets have an account
        stated = ResetContinuation(found.account_id, found.token_hash)
        ticket = self._tickets.seal(TicketPurpose.RESET, stated)
        seconds = limits.CONTINUATION_LIFE // limits.SECOND
        return SecondFactorRequired(ticket, enrolled.methods, expires_in=seconds)


def can_reset(account: Account) -> bool:
    """Whether it is enabled and has a confirmed address, for a reset to go to."""
    return not account.disabled and account.email_key is not None


def _owned(account: Account | None, found: Confirmation) -> Account:
    """The account of a reset. Raises ConfirmationInvalid.

    A link that was mailed to an address which the account has no longer is void.
    """
    if (
        account is None
        or not can_reset(account)
        or account.email_key != found.email_key
    ):
        raise ConfirmationInvalid
    return account


def _confirmation(account: Account, mail: Mail) -> Confirmation:
    """What the token of the mail grants, of an account with a confirmed address."""
    assert account.email is not None  # noqa: S101 - see `_can_reset`
    assert account.email_key is not None  # noqa: S101
    return Confirmation(
        token_hash=one_time_token.hash_of(mail.token),
        account_id=account.id,
        purpose=Purpose.RESET,
        email=account.email,
        email_key=account.email_key,
        created_at=mail.at,
        until=mail.at + limits.RESET_LIFE,
    )
