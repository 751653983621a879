"""Invitations: an operator lets the owner of a mailbox in, with roles."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Protocol

from msgspec.structs import replace

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.links import Links
from watchword.accounts.names import checked_roles, chosen_name, password_names
from watchword.accounts.registration import created, new_account
from watchword.accounts.registration_rules import RegistrationRules
from watchword.accounts.registry import Accounts
from watchword.accounts.rows import AccountRows, Change, changed
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, Actor, By
from watchword.core.network import caller_of
from watchword.core.one_time_token import TokenPurpose, hash_of
from watchword.core.session import Authenticated
from watchword.errors import InvalidCredentials
from watchword.mail.addresses import EmailAddress
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided
from watchword.mail.writing import MailWriter
from watchword.passwords import PasswordHasher
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.confirmations import Confirmation, ConfirmationStore, Purpose
from watchword.ports.outbox import Lane


class CheckPassword(Protocol):
    """A try to sign in, counted as one."""

    def __call__(
        self, account_id: bytes, password: str, *, address: str
    ) -> Awaitable[Authenticated]:
        """Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable."""


class Invitations:
    """Invites users, and accepts them."""

    def __init__(
        self,
        *,
        rules: RegistrationRules,
        confirmations: ConfirmationStore,
        accounts: AccountStore,
        registry: Accounts,
        rows: AccountRows,
        check_password: CheckPassword,
        links: Links,
        account_limits: AccountLimits,
        mail: MailWriter,
        hasher: PasswordHasher,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._rules = rules
        self._confirmations = confirmations
        self._accounts = accounts
        self._registry = registry
        self._rows = rows
        self._check_password = check_password
        self._links = links
        self._limits = account_limits
        self._mail = mail
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy

    async def invite(
        self, email: str, *, roles: Iterable[str] = (), locale: str = "", by: By = APP
    ) -> Confirmation:
        """Mail an invitation. Raises EmailInvalid, InvalidRequest, NotFound."""
        self._rules.need_invitations()
        self._mail.require()
        to = self._mail.read_address(email)
        given = checked_roles(roles)
        now = self._clock()
        token = self._mail.token(TokenPurpose.INVITATION)
        invitation = Confirmation(
            token_hash=hash_of(token),
            account_id=None,
            purpose=Purpose.INVITATION,
            email=to.email,
            email_key=to.key,
            created_at=now,
            until=now + limits.INVITATION_LIFE,
            roles=given,
        )
        mail = Mail(
            purpose=MailPurpose.INVITATION,
            at=now,
            locale=self._mail.locale(locale),
            to=to.email,
            token=token,
        )
        message = self._mail.message(mail, Lane.UNKNOWN, network=caller_of(by.address))
        event = Event(
            type=EventType.INVITED,
            at=now,
            address=by.address,
            detail=by.detail(roles=" ".join(given)),
        )
        await self._confirmations.add(invitation, Trail((event,), (message,)))
        return invitation

    async def accept(
        self,
        token: str,
        password: str,
        *,
        username: str | None = None,
        address: str = "",
    ) -> Authenticated:
        """Make the account of an invitation, or give its roles to one that exists.

        Where the address has an account, `password` must be that account's. Raises
        NotFound where no invitation can be made; ConfirmationInvalid,
        InvalidCredentials, PasswordRejected, NameTaken, NameInvalid, EmailTaken,
        Throttled, Overloaded, StoreUnavailable, with nothing spent.
        """
        self._rules.need_invitations()
        await self._limits.confirming(address)
        name = None if username is None else chosen_name(username)
        invitation = await self._links.confirmation(token, TokenPurpose.INVITATION)
        account = await self._accounts.by_email(invitation.email_key)
        if account is None:
            return await self._make(invitation, password, name, address)
        proved = await self._check_password(account.id, password, address=address)
        return await self._give(invitation, proved, address)

    async def decide(self, mail: Mail) -> Decided | None:
        """The mail of an invitation; None: it was accepted, or has run out.

        It goes to the address as the account has it, where there is one.
        """
        found = await self._confirmations.by_token(hash_of(mail.token))
        if found is None or found.until <= self._clock():
            return None
        owner = await self._accounts.by_email(found.email_key)
        if owner is not None:
            mail = replace(mail, to=owner.email or mail.to, locale=owner.locale)
        return Decided(mail, Lane.UNKNOWN)

    async def _make(
        self, invitation: Confirmation, password: str, name: str | None, address: str
    ) -> Authenticated:
        to = EmailAddress(invitation.email, invitation.email_key)
        hashed = await self._hasher.hash(
            password, names=password_names(name, to.key), address=caller_of(address)
        )
        now = self._clock()
        account = new_account(
            to,
            name,
            hashed,
            roles=invitation.roles,
            locale=self._mail.locale(""),
            now=now,
            entropy=self._entropy,
        )
        await self._accounts.add(
            account,
            Trail((created(account, address),)),
            spends=invitation.token_hash,
            # An operator may give an address that was let go to another account. A name
            # that the user chose is not the operator's to give: then neither is taken.
            ignore_holds=name is None,
        )
        return Authenticated.by_password(account.id, account.roles, at=now)

    async def _give(
        self, invitation: Confirmation, proved: Authenticated, address: str
    ) -> Authenticated:
        """Add the roles to those of the account, and give them to its sessions."""

        async def add_roles(before: Account) -> Change:
            if before.epoch != proved.epoch:
                raise InvalidCredentials
            roles = checked_roles((*before.roles, *invitation.roles))
            return Change(after=changed(before, roles=roles))

        after = await self._rows.update(
            proved.account_id,
            add_roles,
            EventType.ACCOUNT_CHANGED,
            "roles",
            By(Actor.USER, address),
            spends=invitation.token_hash,
        )
        await self._registry.look_again(proved)
        return replace(proved, roles=after.roles)
