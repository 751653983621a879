"""Which users may register, and what an app says of it by a check of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from watchword.errors import (
    EmailInvalid,
    NotFound,
    RegistrationRefused,
    StoreUnavailable,
    TryAgain,
)
from watchword.mail.addresses import EmailAddress

_log: Final = logging.getLogger("watchword.accounts")


class RegistrationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks to be registered as, for `before_registration`.

    `email` is the mail address, `address` the network address of the request.
    """

    email: str
    username: str | None
    address: str


BeforeRegistration = Callable[[RegistrationRequest], Awaitable[bool]]
"""The app's check before a registration: True lets it go on, anything else refuses it.

It must not look at accounts: its answer, and how long it takes, would tell the caller
which addresses have one. If it raises, the answer is 503.
"""


class RegistrationRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which registrations are taken.

    `is_open` says that all users may register, `takes_invitations` that an operator may
    invite them. `domains` are those of the addresses that may register; any may where
    there is none.
    """

    is_open: bool
    takes_invitations: bool
    domains: tuple[str, ...] = ()
    check: BeforeRegistration | None = None

    def need_open(self) -> None:
        """Raises NotFound where users do not register themselves."""
        if not self.is_open:
            raise NotFound("Registration is closed here.")

    def need_invitations(self) -> None:
        """Raises NotFound where no invitation can be made."""
        if not self.takes_invitations:
            raise NotFound("There are no invitations here.")

    def check_domain(self, to: EmailAddress) -> None:
        """Raises EmailInvalid for an address of another domain.

        The answer says nothing about any account.
        """
        if self.domains and to.key.rpartition("@")[2] not in self.domains:
            raise EmailInvalid("Addresses of this domain cannot be used here.")

    async def ask_app(self, request: RegistrationRequest) -> None:
        """Raises RegistrationRefused, StoreUnavailable if the app's check fails."""
        if self.check is None:
            return
        try:
            agreed = await self.check(request)
        except (TryAgain, RegistrationRefused):
            raise
        except Exception as error:
            _log.exception("the app's before_registration failed")
            message = "No registration can be checked right now: try again shortly."
            raise StoreUnavailable(message) from error
        if agreed is not True:
            raise RegistrationRefused
