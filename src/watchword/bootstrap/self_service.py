"""The parts by which accounts serve themselves, wired.

An app with users of its own has none of them.
"""

from __future__ import annotations

import msgspec

from watchword.accounts.email_change import EmailChanges
from watchword.accounts.enrolment_mails import EnrolmentMails
from watchword.accounts.invitations import Invitations
from watchword.accounts.links import Links
from watchword.accounts.mail_decisions import MailDecisions
from watchword.accounts.managing import ManagedAccounts
from watchword.accounts.new_networks import NewNetworks
from watchword.accounts.recovery import Recovery
from watchword.accounts.registration import Registrations
from watchword.accounts.registration_rules import RegistrationRules
from watchword.bootstrap.accounts import AccountParts
from watchword.bootstrap.foundation import Foundation
from watchword.mail.message import NOTICES, MailPurpose
from watchword.mail.sender import Decide
from watchword.sessions.browser import BrowserSessions
from watchword.sign_in.begin import SignIn
from watchword.sign_in.browser import BrowserSignIn
from watchword.sign_in.continuation import SecondStepGate


class SelfService(msgspec.Struct, frozen=True, kw_only=True):
    """What calls and pages of accounts use, besides `Accounts` and `SignIn`."""

    rules: RegistrationRules
    links: Links
    registrations: Registrations
    invitations: Invitations
    recovery: Recovery
    email_changes: EmailChanges
    enrolment_mails: EnrolmentMails
    managed: ManagedAccounts
    browser: BrowserSignIn
    decide: Decide


def self_service_of(
    base: Foundation,
    parts: AccountParts,
    sign_in: SignIn,
    browsers: BrowserSessions,
    gate: SecondStepGate,
) -> SelfService:
    """The parts, on the stores of `base`."""
    links = Links(
        registrations=base.stores.registrations,
        confirmations=base.stores.confirmations,
        accounts=base.stores.accounts,
        clock=base.clock,
    )
    registrations, invitations = _registrations_of(base, parts, links)
    recovery, email_changes = _recovery_of(base, parts, links)
    enrolment_mails = EnrolmentMails(
        accounts=base.stores.accounts,
        credentials=base.stores.credentials,
        mail=parts.mail,
        clock=base.clock,
    )
    decisions: dict[MailPurpose, Decide] = {
        MailPurpose.CONFIRM: registrations.decide,
        MailPurpose.INVITATION: invitations.decide,
        MailPurpose.RESET: recovery.decide,
        MailPurpose.CONFIRM_EMAIL: email_changes.decide,
        MailPurpose.ENROL: enrolment_mails.decide,
        **dict.fromkeys(NOTICES, parts.notices.decide),
    }
    return SelfService(
        rules=parts.rules,
        links=links,
        registrations=registrations,
        invitations=invitations,
        recovery=recovery,
        email_changes=email_changes,
        enrolment_mails=enrolment_mails,
        managed=_managed_of(base, parts, recovery, email_changes),
        browser=BrowserSignIn(
            sign_in=sign_in,
            sessions=parts.sessions,
            browsers=browsers,
            networks=_networks_of(base, parts),
            gate=gate,
        ),
        decide=MailDecisions(decisions).decide,
    )


def _registrations_of(
    base: Foundation, parts: AccountParts, links: Links
) -> tuple[Registrations, Invitations]:
    registrations = Registrations(
        rules=parts.rules,
        registrations=base.stores.registrations,
        accounts=base.stores.accounts,
        outbox=base.stores.outbox,
        links=links,
        account_limits=parts.account_limits,
        mail=parts.mail,
        hasher=parts.hasher,
        clock=base.clock,
        entropy=base.entropy,
    )
    invitations = Invitations(
        rules=parts.rules,
        confirmations=base.stores.confirmations,
        accounts=base.stores.accounts,
        registry=parts.registry,
        rows=parts.rows,
        check_password=parts.passwords.of_account,
        links=links,
        account_limits=parts.account_limits,
        mail=parts.mail,
        hasher=parts.hasher,
        clock=base.clock,
        entropy=base.entropy,
    )
    return registrations, invitations


def _recovery_of(
    base: Foundation, parts: AccountParts, links: Links
) -> tuple[Recovery, EmailChanges]:
    recovery = Recovery(
        accounts=base.stores.accounts,
        rows=parts.rows,
        confirmations=base.stores.confirmations,
        outbox=base.stores.outbox,
        links=links,
        account_limits=parts.account_limits,
        notices=parts.notices,
        mail=parts.mail,
        hasher=parts.hasher,
        factors=parts.factors.factors,
        proofs=parts.factors.proofs,
        tickets=parts.factors.tickets,
        clock=base.clock,
    )
    email_changes = EmailChanges(
        rules=parts.rules,
        accounts=base.stores.accounts,
        rows=parts.rows,
        confirmations=base.stores.confirmations,
        links=links,
        account_limits=parts.account_limits,
        notices=parts.notices,
        recovery=recovery,
        mail=parts.mail,
        check_password=parts.passwords.of_account,
        factors=parts.factors.factors,
        clock=base.clock,
    )
    return recovery, email_changes


def _managed_of(
    base: Foundation,
    parts: AccountParts,
    recovery: Recovery,
    email_changes: EmailChanges,
) -> ManagedAccounts:
    return ManagedAccounts(
        rows=parts.rows,
        sessions=parts.sessions,
        session_roles=parts.session_roles,
        email_changes=email_changes,
        recovery=recovery,
        mail=parts.mail,
        hasher=parts.hasher,
        clock=base.clock,
        entropy=base.entropy,
    )


def _networks_of(base: Foundation, parts: AccountParts) -> NewNetworks:
    return NewNetworks(
        once=base.stores.once,
        throttle=base.stores.throttle,
        audit=base.stores.audit,
        accounts=base.stores.accounts,
        outbox=base.stores.outbox,
        notices=parts.notices,
        background=parts.background,
        clock=base.clock,
    )
