"""The parts by which accounts serve themselves, wired.

An app with users of its own has none of them.
"""

from __future__ import annotations

import msgspec

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.email_change import EmailChanges
from watchword.accounts.invitations import Invitations
from watchword.accounts.links import Links
from watchword.accounts.mail_decisions import MailDecisions
from watchword.accounts.network_limits import NetworkLimits
from watchword.accounts.new_networks import NewNetworks
from watchword.accounts.notices import Notices
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration import Registrations
from watchword.accounts.registration_rules import BeforeRegistration, RegistrationRules
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

    rules: RegistrationRules
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
        accounts=stores.accounts,
        clock=clock,
    )
    limits = NetworkLimits(stores.throttle, clock)
    rules = registration_rules_of(settings, before_registration)
    recovery, email_changes = _recovery_of(
        rules,
        stores,
        links,
        limits,
        mail=mail,
        notices=notices,
        rows=rows,
        passwords=passwords,
        sessions=sessions,
        hasher=hasher,
        clock=clock,
    )
    registrations, invitations = _registrations_of(
        rules,
        stores,
        links,
        limits,
        mail=mail,
        accounts=accounts,
        rows=rows,
        passwords=passwords,
        hasher=hasher,
        clock=clock,
        entropy=entropy,
    )
    decisions: dict[MailPurpose, Decide] = {
        MailPurpose.CONFIRM: registrations.decide,
        MailPurpose.INVITATION: invitations.decide,
        MailPurpose.RESET: recovery.decide,
        MailPurpose.CONFIRM_EMAIL: email_changes.decide,
        **dict.fromkeys(NOTICES, notices.decide),
    }
    browser = BrowserSignIn(
        sign_in=sign_in,
        sessions=sessions,
        browsers=browsers,
        networks=NewNetworks(
            once=stores.once,
            throttle=stores.throttle,
            audit=stores.audit,
            accounts=stores.accounts,
            outbox=stores.outbox,
            notices=notices,
            background=background,
            clock=clock,
        ),
    )
    return SelfService(
        rules=rules,
        links=links,
        registrations=registrations,
        invitations=invitations,
        recovery=recovery,
        email_changes=email_changes,
        step_up=StepUp(accounts=accounts, passwords=passwords, sessions=sessions),
        browser=browser,
        decide=MailDecisions(decisions).decide,
    )


def _recovery_of(
    rules: RegistrationRules,
    stores: Stores,
    links: Links,
    limits: NetworkLimits,
    *,
    mail: MailWriter,
    notices: Notices,
    rows: AccountRows,
    passwords: AccountPasswords,
    sessions: Sessions,
    hasher: PasswordHasher,
    clock: Clock,
) -> tuple[Recovery, EmailChanges]:
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
        rules=rules,
        accounts=stores.accounts,
        rows=rows,
        confirmations=stores.confirmations,
        links=links,
        network_limits=limits,
        account_limits=AccountLimits(stores.throttle, clock),
        notices=notices,
        recovery=recovery,
        mail=mail,
        sessions=sessions,
        check_password=passwords.of_account,
        clock=clock,
    )
    return recovery, email_changes


def _registrations_of(
    rules: RegistrationRules,
    stores: Stores,
    links: Links,
    limits: NetworkLimits,
    *,
    mail: MailWriter,
    accounts: Accounts,
    rows: AccountRows,
    passwords: AccountPasswords,
    hasher: PasswordHasher,
    clock: Clock,
    entropy: Entropy,
) -> tuple[Registrations, Invitations]:
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
        rows=rows,
        check_password=passwords.of_account,
        links=links,
        network_limits=limits,
        mail=mail,
        hasher=hasher,
        clock=clock,
        entropy=entropy,
    )
    return registrations, invitations
