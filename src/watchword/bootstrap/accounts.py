"""The parts of accounts that their sign-in and their self-service share, wired."""

from __future__ import annotations

import msgspec

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.registration_rules import RegistrationRules
from watchword.accounts.registry import Accounts
from watchword.accounts.rows import AccountRows
from watchword.accounts.session_roles import SessionRoles
from watchword.attempts import Attempts
from watchword.background import Background
from watchword.bootstrap.factors import FactorParts
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.parts import registration_rules_of
from watchword.mail.writing import MailWriter
from watchword.notices import Notices
from watchword.passwords import PasswordHasher
from watchword.sessions import Sessions
from watchword.sign_in.password import AccountPasswords


class AccountParts(msgspec.Struct, frozen=True, kw_only=True):
    """What else is wired for accounts is made of these."""

    sessions: Sessions
    background: Background
    hasher: PasswordHasher
    mail: MailWriter
    rules: RegistrationRules
    notices: Notices
    rows: AccountRows
    account_limits: AccountLimits
    session_roles: SessionRoles
    registry: Accounts
    passwords: AccountPasswords
    factors: FactorParts


def account_parts_of(
    base: Foundation,
    *,
    sessions: Sessions,
    background: Background,
    hasher: PasswordHasher,
    mail: MailWriter,
    attempts: Attempts,
    notices: Notices,
    factors: FactorParts,
) -> AccountParts:
    """The parts, on the stores of `base`."""
    stores, clock = base.stores, base.clock
    rows = AccountRows(
        accounts=stores.accounts,
        sessions=sessions,
        background=background,
        clock=clock,
        admin_role=base.settings.admin_role,
    )
    account_limits = AccountLimits(stores.throttle, clock)
    session_roles = SessionRoles(
        accounts=stores.accounts, sessions=sessions, factors=factors.factors
    )
    registry = Accounts(
        accounts=stores.accounts,
        sessions=sessions,
        hasher=hasher,
        rows=rows,
        account_limits=account_limits,
        session_roles=session_roles,
        notices=notices,
        mail=mail,
        clock=clock,
        entropy=base.entropy,
    )
    passwords = AccountPasswords(
        accounts=stores.accounts, attempts=attempts, hasher=hasher, clock=clock
    )
    return AccountParts(
        sessions=sessions,
        background=background,
        hasher=hasher,
        mail=mail,
        rules=registration_rules_of(base.settings, base.before_registration),
        notices=notices,
        rows=rows,
        account_limits=account_limits,
        session_roles=session_roles,
        registry=registry,
        passwords=passwords,
        factors=factors,
    )
