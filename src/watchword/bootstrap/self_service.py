"""The parts by which accounts serve themselves, wired.

An app with users of its own has none of them.
"""

from __future__ import annotations

import msgspec

from watchword.accounts.email_change import EmailChanges
from watchword.accounts.invitations import Invitations
from watchword.accounts.links import Links
from watchword.accounts.mail_decisions import MailDecisions
from watchword.accounts.network_limits import NetworkLimits
from watchword.accounts.new_networks import NewNetworks
from watchword.accounts.notices import Notices
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration import Registrations
from watchword.accounts.registration_rules import BeforeRegistration
from watchword.accounts.registry import Accounts
from watchword.accounts.rows import AccountRows
from watchword.background import Background
from watchword.bootstrap.parts import registration_rules_of
from watchword.clocks import Clock, Entropy
from watchword.config import Settings
from watchword.mail.message import NOTICES, MailPurpose
from watchword.mail.sender import Decide
from watchword.mail.writing import MailWriter
from watchword.passwords import PasswordHasher
from watchword.ports import Stores
from watchword.sessions import Sessions
from watchword.sessions.browser import BrowserSessions
from watchword.sign_in.begin import SignIn
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
    *,
    mail: MailWriter,
    notices: Notices,
    rows: AccountRows,
    accounts: Accounts,
    passwords: AccountPasswords,
    sessions: Sessions,
    browsers: BrowserSessions,
    sign_in: SignIn,
    background: Background,
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
    rules = registration_rules_of(settings, before_registration)
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
    recovery = Recovery(
        accounts=stores.accounts,
        rows=rows,
        confirmations=stores.confirmations,
        outbox=stores.outbox,
        once=stores.once,
        links=links,
        network_limits=limits,
        notices=notices,
        mail=mail,
        sessions=sessions,
        hasher=hasher,
        clock=clock,
    )
    email_changes = EmailChanges(
        accounts=stores.accounts,
        rows=rows,
        confirmations=stores.confirmations,
        links=links,
        network_limits=limits,
        notices=notices,
        recovery=recovery,
        mail=mail,
        sessions=sessions,
        check_password=passwords.authenticate,
        clock=clock,
    )
    decisions: dict[MailPurpose, Decide] = {
        MailPurpose.CONFIRM: registrations.decide,
        MailPurpose.INVITATION: invitations.decide,
        MailPurpose.RESET: recovery.decide,
        MailPurpose.CONFIRM_EMAIL: email_changes.decide,
        **dict.fromkeys(NOTICES, notices.decide),
    }
    return SelfService(
        links=links,
        registrations=registrations,
        invitations=invitations,
        recovery=recovery,
        email_changes=email_changes,
        step_up=StepUp(accounts=accounts, passwords=passwords, sessions=sessions),
        browser=BrowserSignIn(
            sign_in=sign_in,
            sessions=sessions,
            browsers=browsers,
            networks=NewNetworks(
                once=stores.once,
                throttle=stores.throttle,
                audit=stores.audit,
                accounts=stores.accounts,
                outbox=stores.outbox,
                mail=mail if settings.effective_mail_url else None,
                background=background,
                clock=clock,
            ),
        ),
        decide=MailDecisions(decisions).decide,
    )
