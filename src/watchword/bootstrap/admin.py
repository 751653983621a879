"""The parts of the admin API and the console, wired."""

from __future__ import annotations

import msgspec

from watchword.accounts.registry import Accounts
from watchword.admin.accounts import AccountAdmin
from watchword.admin.events import EventAdmin
from watchword.admin.invitations import InvitationAdmin
from watchword.admin.overview import Overview
from watchword.admin.pages import Cursors
from watchword.admin.sessions import SessionAdmin
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.self_service import SelfService
from watchword.core.ticket import Tickets
from watchword.factors.registry import Factors
from watchword.oauth.consents import Consents
from watchword.sessions import Sessions
from watchword.webhooks.registry import Webhooks


class AdminParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the admin API and the console use: `engine.admin`."""

    accounts: AccountAdmin
    sessions: SessionAdmin
    invitations: InvitationAdmin
    events: EventAdmin
    overview: Overview
    webhooks: Webhooks
    cursors: Cursors


def admin_parts_of(
    base: Foundation,
    *,
    accounts: Accounts,
    service: SelfService,
    sessions: Sessions,
    factors: Factors,
    consents: Consents,
    webhooks: Webhooks,
    tickets: Tickets,
) -> AdminParts:
    """The parts, on the stores of `base`."""
    cursors = Cursors(tickets)
    role = base.settings.admin_role
    session_admin = SessionAdmin(
        stores=base.stores, sessions=sessions, cursors=cursors, admin_role=role
    )
    return AdminParts(
        accounts=AccountAdmin(
            stores=base.stores,
            registry=accounts,
            managed=service.managed,
            recovery=service.recovery,
            sessions=session_admin,
            factors=factors,
            consents=consents,
            cursors=cursors,
            admin_role=role,
        ),
        sessions=session_admin,
        invitations=InvitationAdmin(
            confirmations=base.stores.confirmations,
            invitations=service.invitations,
            cursors=cursors,
            admin_role=role,
            clock=base.clock,
        ),
        events=EventAdmin(audit=base.stores.audit, cursors=cursors),
        overview=Overview(stats=base.stores.stats, clock=base.clock),
        webhooks=webhooks,
        cursors=cursors,
    )
