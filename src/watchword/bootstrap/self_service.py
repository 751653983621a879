"""The parts by which accounts serve themselves, wired.

An app with users of its own has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.accounts.email_change import EmailChanges
from watchword.accounts.links import Links
from watchword.accounts.network_limits import NetworkLimits
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration import Registrations
from watchword.accounts.registry import Accounts
from watchword.clocks import Clock, Entropy
from watchword.config import Settings
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS
from watchword.mail.writing import MailWriter
from watchword.passwords import PasswordHasher
from watchword.ports import Stores
from watchword.sessions import Sessions
from watchword.sign_in.browser import BrowserSignIn
from watchword.sign_in.password import AccountPasswords
from watchword.sign_in.step_up import StepUp


class SelfService(msgspec.Struct, frozen=True, kw_only=True):
    """What calls and pages of accounts use, besides `Accounts` and `SignIn`."""

    links: Links
    registrations: Registrations
    recovery: Recovery
    email_changes: EmailChanges
    step_up: StepUp
    browser: BrowserSignIn


def self_service_of(
    settings: Settings,
    stores: Stores,
    server_secrets: Sequence[bytes],
    *,
    accounts: Accounts,
    passwords: AccountPasswords,
    sessions: Sessions,
    hasher: PasswordHasher,
    clock: Clock,
    entropy: Entropy,
) -> SelfService:
    """The parts, on these stores."""
    links = Links(
        registrations=stores.registrations,
        confirmations=stores.confirmations,
        clock=clock,
    )
    limits = NetworkLimits(stores.throttle, clock)
    mail = MailWriter(Sealing(server_secrets, SEALED_AS, entropy), entropy)
    _ = settings, limits, mail, hasher
    return SelfService(
        links=links,
        registrations=Registrations(),
        recovery=Recovery(),
        email_changes=EmailChanges(),
        step_up=StepUp(accounts=accounts, passwords=passwords, sessions=sessions),
        browser=BrowserSignIn(),
    )
