"""Registration: an account exists once its mailbox and its asker are proved.

No request looks an account up before that: what is asked for an address that has an
account costs the same, and gets the same answer. When its mail is sent it is decided
what the mail says.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.links import Links
from watchword.accounts.names import chosen_name, password_names
from watchword.accounts.registration_rules import RegistrationRequest, RegistrationRules
from watchword.clocks import Clock, Entropy
from watchword.core import base64url, limits
from watchword.core.actor import Actor, By
from watchword.core.network import caller_of
from watchword.core.one_time_token import TokenPurpose, hash_of
from watchword.core.session import Authenticated, time_ordered_id
from watchword.errors import InvalidCredentials
from watchword.mail.addresses import EmailAddress
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided
from watchword.mail.writing import MailWriter
from watchword.passwords import PasswordHasher
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.outbox import Lane, Outbox
from watchword.ports.registrations import Registration, RegistrationStore

HANDLE: Final = "ww_rg_"
_HANDLE_BYTES: Final = 32
_HANDLE_SHAPE: Final = re.compile(rf"{HANDLE}[A-Za-z0-9_-]{{43}}", re.ASCII)


class Registrations:
    """Registers users."""

    def __init__(
        self,
        *,
        rules: RegistrationRules,
        registrations: RegistrationStore,
        accounts: AccountStore,
        outbox: Outbox,
        links: Links,
        account_limits: AccountLimits,
        mail: MailWriter,
        hasher: PasswordHasher,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._rules = rules
        self._registrations = registrations
        self._accounts = accounts
        self._outbox = outbox
        self._links = links
        self._limits = account_limits
        self._mail = mail
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy

    async def ask(
        self,
        email: str,
        password: str,
        *,
        username: str | None = None,
        locale: str = "",
        address: str = "",
    ) -> str:
        """Keep a registration until its mailbox is proved; returns its handle `ww_rg_`.

        The same work is done whether or not the address has an account. Raises
        NotFound where registration is closed or no mail can be sent, EmailInvalid,
        NameInvalid, PasswordRejected, RegistrationRefused, Throttled, Overloaded,
        StoreUnavailable.
        """
        self._rules.need_open()
        self._mail.require()
        to = self._mail.read_address(email)
        self._rules.check_domain(to)
        name = None if username is None else chosen_name(username)
        await self._limits.registering(address)
        request = RegistrationRequest(email=to.email, username=name, address=address)
        await self._rules.ask_app(request)
        caller = caller_of(address)
        hashed = await self._hasher.hash(
            password, names=password_names(name, to.key), address=caller
        )
        now = self._clock()
        handle = HANDLE + base64url.encode(self._entropy(_HANDLE_BYTES)).decode()
        token = self._mail.token(TokenPurpose.REGISTRATION)
        language = self._mail.locale(locale)
        registration = Registration(
            id_hash=_handle_hash(handle),
            token_hash=hash_of(token),
            email=to.email,
            email_key=to.key,
            username=name,
            password_hash=hashed,
            locale=language,
            network=caller,
            created_at=now,
            until=now + limits.REGISTRATION_LIFE,
        )
        mail = Mail(purpose=MailPurpose.CONFIRM, at=now, locale=language, token=token)
        message = self._mail.message(mail, Lane.UNKNOWN, network=caller)
        await self._registrations.add(registration, Trail(outbox=(message,)))
        return handle

    async def resend(self, handle: str, *, address: str = "") -> None:
        """Send the mail of a registration again, with a new token.

        An unknown handle costs the same. Raises NotFound, Throttled, StoreUnavailable.
        """
        self._rules.need_open()
        self._mail.require()
        await self._limits.asking(address)
        mail = Mail(
            purpose=MailPurpose.CONFIRM,
            at=self._clock(),
            token=self._mail.token(TokenPurpose.REGISTRATION),
            registration=_handle_hash(handle),
        )
        caller = caller_of(address)
        message = self._mail.message(mail, Lane.UNKNOWN, network=caller)
        await self._outbox.add([message])

    async def is_asker(self, token: str, handles: Sequence[str]) -> bool:
        """Whether one of the handles is that of the registration of this token.

        Raises ConfirmationInvalid.
        """
        return _is_among(await self._links.registration(token), handles)

    async def confirm(
        self,
        token: str,
        *,
        handles: Sequence[str] = (),
        password: str = "",
        username: str | None = None,
        address: str = "",
    ) -> Authenticated:
        """Make the account, for a token and one of: its handle, its password.

        `username` takes the place of one that is taken. Raises NotFound where
        registration is closed; ConfirmationInvalid; InvalidCredentials for a wrong
        handle or password; NameTaken, NameInvalid, EmailTaken, Throttled, Overloaded,
        StoreUnavailable, with nothing spent.
        """
        self._rules.need_open()
        await self._limits.confirming(address)
        name = None if username is None else chosen_name(username)
        waiting = await self._links.registration(token)
        if not _is_among(waiting, handles):
            if not password:
                raise InvalidCredentials
            await self._limits.guessing(waiting.id_hash)
            await self._hasher.verify(
                waiting.password_hash, password, address=caller_of(address)
            )
        now = self._clock()
        account = new_account(
            EmailAddress(waiting.email, waiting.email_key),
            name or waiting.username,
            waiting.password_hash,
            locale=waiting.locale,
            now=now,
            entropy=self._entropy,
        )
        trail = Trail((created(account, address),))
        await self._accounts.add(account, trail, spends=waiting.token_hash)
        return Authenticated.by_password(account.id, account.roles, at=now)

    async def decide(self, mail: Mail) -> Decided | None:
        """What a mail that confirms a registration becomes; None: it is gone.

        The owner of an account of that address is told that there is one, instead of a
        link that would come to nothing.
        """
        token_hash = hash_of(mail.token)
        find = self._registrations
        waiting = (
            await find.by_id(mail.registration)
            if mail.registration
            else await find.by_token(token_hash)
        )
        if waiting is None or waiting.until <= self._clock():
            return None
        owner = await self._accounts.by_email(waiting.email_key)
        if owner is not None:
            mail = Mail(
                purpose=MailPurpose.ALREADY_REGISTERED,
                at=mail.at,
                locale=owner.locale,
                to=owner.email or waiting.email,
            )
            return Decided(mail, Lane.UNKNOWN)
        mail = replace(mail, to=waiting.email, locale=waiting.locale)
        if hmac.compare_digest(waiting.token_hash, token_hash):
            return Decided(mail, Lane.UNKNOWN)
        # Only a mail that is sent may take the place of the link that was sent before.
        renew = partial(find.renew, waiting.id_hash, token_hash)
        return Decided(mail, Lane.UNKNOWN, write=renew)


def new_account(
    to: EmailAddress,
    name: str | None,
    password_hash: str,
    *,
    roles: tuple[str, ...] = (),
    locale: str,
    now: int,
    entropy: Entropy,
) -> Account:
    """An account of a proved mailbox. Without a name it has the key of its address."""
    return Account(
        time_ordered_id(now, entropy(10)),
        name or to.key,
        password_hash,
        roles,
        now,
        email=to.email,
        email_key=to.key,
        email_confirmed_at=now,
        locale=locale,
    )


def created(account: Account, address: str) -> Event:
    """The audit event of an account that its user made."""
    return Event(
        type=EventType.ACCOUNT_CREATED,
        at=account.created_at,
        account_id=account.id,
        address=address,
        detail=By(Actor.USER, address).detail(),
    )


def _handle_hash(handle: str) -> bytes:
    return hashlib.sha256(handle.encode("utf-8", "replace")).digest()


def _is_among(waiting: Registration, handles: Sequence[str]) -> bool:
    hashes = (_handle_hash(one) for one in handles if _HANDLE_SHAPE.fullmatch(one))
    return any(hmac.compare_digest(one, waiting.id_hash) for one in hashes)
