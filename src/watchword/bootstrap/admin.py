"""The parts of the admin API and the console, wired."""

from __future__ import annotations

import msgspec

from watchword.accounts.registry import Accounts
from watchword.admin.accounts import AccountAdmin
from watchword.admin.clients import ClientAdmin
from watchword.admin.events import EventAdmin
from watchword.admin.keys import KeyAdmin
from watchword.admin.overview import Overview
from watchword.admin.pages import Cursors
from watchword.admin.sessions import SessionAdmin
from watchword.bootstrap.foundation import Foundation
from watchword.clients.registry import Clients
from watchword.core.ticket import Tickets
from watchword.factors.registry import Factors
from watchword.keys.ring import KeyRing
from watchword.oauth.consents import Consents
from watchword.sessions import Sessions
from watchword.webhooks.registry import Webhooks


class AdminParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the admin API and the console use: `engine.admin`."""

    accounts: AccountAdmin
    sessions: SessionAdmin
    clients: ClientAdmin
    keys: KeyAdmin
    events: EventAdmin
    overview: Overview
    webhooks: Webhooks
    cursors: Cursors


def admin_parts_of(
    base: Foundation,
    *,
    accounts: Accounts,
    sessions: Sessions,
    clients: Clients,
    keys: KeyRing,
    factors: Factors,
    consents: Consents,
    webhooks: Webhooks,
    tickets: Tickets,
) -> AdminParts:
    """The parts, on the stores of `base`."""
    cursors = Cursors(tickets)
    role = base.settings.admin_role
    return AdminParts(
        accounts=AccountAdmin(
            stores=base.stores,
            registry=accounts,
            sessions=sessions,
            factors=factors,
            consents=consents,
            cursors=cursors,
            admin_role=role,
        ),
        sessions=SessionAdmin(
            stores=base.stores, sessions=sessions, cursors=cursors, admin_role=role
        ),
        clients=ClientAdmin(clients=clients, cursors=cursors),
        keys=KeyAdmin(keys=keys),
        events=EventAdmin(audit=base.stores.audit, cursors=cursors),
        overview=Overview(stats=base.stores.stats, clock=base.clock),
        webhooks=webhooks,
        cursors=cursors,
    )
