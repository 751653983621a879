"""The parts by which accounts serve themselves, wired.

An app with users of its own has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from watchword.accounts.email_change import EmailChanges
from watchword.accounts.invitations import Invitations
from watchword.accounts.links import Links
from watchword.accounts.mail_decisions import MailDecisions
from watchword.accounts.network_limits import NetworkLimits
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration import Registrations
from watchword.accounts.registration_rules import BeforeRegistration
from watchword.accounts.registry import Accounts
from watchword.bootstrap.parts import composer_of, registration_rules_of
from watchword.clocks import Clock, Entropy
from watchword.config import Settings
from watchword.core.network import is_loopback
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, MailPurpose
from watchword.mail.sender import Decide
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
    invitations: Invitations
    recovery: Recovery
    email_changes: EmailChanges
    step_up: StepUp
    browser: BrowserSignIn
    decide: Decide


def self_service_of(
    settings: Settings,
    stores: Stores,
    server_secrets: Sequence[bytes],
    *,
    accounts: Accounts,
    passwords: AccountPasswords,
    sessions: Sessions,
    hasher: PasswordHasher,
    before_registration: BeforeRegistration | None,
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
    mail = MailWriter(
        Sealing(server_secrets, SEALED_AS, entropy),
        entropy,
        can_send=settings.effective_mail_url is not None,
        is_local=is_loopback(urlsplit(settings.effective_issuer).hostname or ""),
        locales=composer_of(settings).locales,
    )
    rules = registration_rules_of(settings, before_registration)
    _ = sessions
    registrations = Registrations(
        rules=rules,
        registrations=stores.registrations,
        accounts=stores.accounts,
        outbox=stores.outbox,
        links=links,
        network_limits=limits,
        mail=mail,
        hasher=hasher,
        clock=clock,
        entropy=entropy,
    )
    invitations = Invitations(
        rules=rules,
        confirmations=stores.confirmations,
        accounts=stores.accounts,
        registry=accounts,
        check_password=passwords.authenticate,
        links=links,
        network_limits=limits,
        mail=mail,
        hasher=hasher,
        clock=clock,
        entropy=entropy,
    )
    decisions: dict[MailPurpose, Decide] = {
        MailPurpose.CONFIRM: registrations.decide,
        MailPurpose.INVITATION: invitations.decide,
    }
    return SelfService(
        links=links,
        registrations=registrations,
        invitations=invitations,
        recovery=Recovery(),
        email_changes=EmailChanges(),
        step_up=StepUp(),
        browser=BrowserSignIn(),
        decide=MailDecisions(decisions).decide,
    )
