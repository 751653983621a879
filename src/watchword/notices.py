"""Notices: mails that tell of a change to an account, in the transaction of it.

They go to the account's address, and to each address that has a way back: a thief that
changed the address must not be the only one to hear of what comes next.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypedDict, Unpack

import msgspec

from watchword.background import Background
from watchword.clocks import Clock
from watchword.core import one_time_token
from watchword.core.session import as_text
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decided
from watchword.mail.writing import MailWriter
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.confirmations import ConfirmationStore, Purpose
from watchword.ports.outbox import Lane, Message

HOOK_TIMEOUT: Final = 30.0
"""Seconds that an app's `on_security_notice` may take."""

_THREADS: Final = 2
_log: Final = logging.getLogger("watchword.notices")


class Said(TypedDict, total=False):
    """What a notice says besides its purpose: see `Mail`."""

    masked: str
    network: str
    factor: str
    left: int


class Notices:
    """Makes notices, and decides later which of them are sent."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        confirmations: ConfirmationStore,
        mail: MailWriter,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._confirmations = confirmations
        self._mail = mail
        self._clock = clock

    async def of(
        self,
        account: Account,
        purpose: MailPurpose,
        *,
        but: Collection[str | None] = (),
        **said: Unpack[Said],
    ) -> tuple[Message, ...]:
        """One message for each address of the account, but those with a key in `but`.

        There is no message where no mail can be sent, or where the account has no
        confirmed address.
        """
        if not self._mail.can_send:
            return ()
        addresses = await self._addresses(account)
        # A message with the id of an account is deleted with it.
        deleted = purpose is MailPurpose.ACCOUNT_DELETED
        mails = [
            Mail(
                purpose=purpose,
                at=self._clock(),
                locale=account.locale,
                to=email,
                account_id=None if deleted else account.id,
                **said,
            )
            for key, email in addresses.items()
            if key not in but
        ]
        return tuple(self._mail.message(mail, Lane.CONFIRMED) for mail in mails)

    async def _addresses(self, account: Account) -> dict[str, str]:
        """Those that hear of a change, by their one spelling."""
        found = {
            one.email_key: one.email
            for one in await self._confirmations.of_account(account.id)
            if one.purpose is Purpose.REVERT and one.until > self._clock()
        }
        if account.email_key is not None and account.email is not None:
            found[account.email_key] = account.email
        return found

    async def decide(self, mail: Mail) -> Decided | None:
        """What becomes of a notice of the outbox; None: it is not sent.

        A notice with a way back is of no use once that was used or has run out.
        """
        if mail.account_id is None:
            return Decided(mail, Lane.CONFIRMED)
        account = await self._accounts.by_id(mail.account_id)
        if account is None or (mail.token and not await self._is_open(mail.token)):
            return None
        told = msgspec.structs.replace(mail, locale=account.locale)
        return Decided(told, Lane.CONFIRMED)

    async def _is_open(self, token: str) -> bool:
        found = await self._confirmations.by_token(one_time_token.hash_of(token))
        return found is not None and found.until > self._clock()


OnSecurityNotice = Callable[[str, MailPurpose], Awaitable[None] | None]
"""The app's function that tells a user of its own: `(subject, kind)`.

`subject` is the `sub` of the user's tokens. It may be async; otherwise it runs on a
thread.
"""


class FactorNotices(Protocol):
    """Tells users of a change to their second factors: by mail, or by the app's hook.

    A change asks for the messages that it writes with it (`of`), and says when it is
    written (`told`).
    """

    async def of(
        self, account_id: bytes, purpose: MailPurpose, **said: Unpack[Said]
    ) -> tuple[Message, ...]:
        """The messages for an account; () for a user of the app's own."""

    def told(self, account_id: bytes, purpose: MailPurpose) -> None:
        """Call the app's hook in the background; nothing for an account."""


class MailedNotices:
    """Implements `FactorNotices` for accounts."""

    def __init__(self, accounts: AccountStore, notices: Notices) -> None:
        self._accounts = accounts
        self._notices = notices

    async def of(
        self, account_id: bytes, purpose: MailPurpose, **said: Unpack[Said]
    ) -> tuple[Message, ...]:
        """See `FactorNotices`."""
        account = await self._accounts.by_id(account_id)
        if account is None:
            return ()
        return await self._notices.of(account, purpose, **said)

    def told(self, account_id: bytes, purpose: MailPurpose) -> None:
        """Nothing: the mail waits in the outbox."""


class HookNotices:
    """Implements `FactorNotices` for an app's own users."""

    def __init__(self, hook: OnSecurityNotice | None, background: Background) -> None:
        self._hook = hook
        self._background = background
        self._threads: ThreadPoolExecutor | None = None

    async def of(self, *_: object, **_unused: object) -> tuple[Message, ...]:
        """No messages: the app has the address."""
        return ()

    def told(self, account_id: bytes, purpose: MailPurpose) -> None:
        """Call the app's hook in the background. Its faults are logged.

        At most PENDING_MAX calls wait. A hook that takes longer than HOOK_TIMEOUT is
        waited for no longer.
        """
        hook = self._hook
        if hook is None:
            return

        async def work() -> None:
            try:
                async with asyncio.timeout(HOOK_TIMEOUT):
                    await self._call(hook, as_text(account_id), purpose)
            except Exception:  # noqa: BLE001 - logged; asked again, it might tell twice
                _log.exception("the app's on_security_notice failed")

        self._background.start(work, "telling an app of a change to a user's factors")

    async def _call(
        self, hook: OnSecurityNotice, subject: str, purpose: MailPurpose
    ) -> None:
        call = hook if inspect.isroutine(hook) else type(hook).__call__
        if inspect.iscoroutinefunction(call):
            told = hook(subject, purpose)
        else:
            # Threads of its own: a hook that hangs must not hold up what others wait
            # for.
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, "watchword-notices")
            told = await asyncio.get_running_loop().run_in_executor(
                self._threads, hook, subject, purpose
            )
        if inspect.isawaitable(told):  # a lambda or a partial may return one, too
            await told
