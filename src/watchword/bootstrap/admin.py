"""The parts of the admin API and the console, wired."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from watchword.accounts.registry import Accounts
from watchword.admin.accounts import AccountAdmin
from watchword.admin.clients import ClientAdmin
from watchword.admin.events import EventAdmin
from watchword.admin.health import HealthAdmin, Watched
from watchword.admin.invitations import InvitationAdmin
from watchword.admin.keys import KeyAdmin
from watchword.admin.mail import MailAdmin
from watchword.admin.overview import Overview
from watchword.admin.pages import Cursors
from watchword.admin.sessions import SessionAdmin
from watchword.admin.webhooks import WebhookAdmin
from watchword.bootstrap.foundation import Foundation
from watchword.bootstrap.parts import send_test_mail
from watchword.bootstrap.self_service import SelfService
from watchword.clients.registry import Clients
from watchword.config import Settings
from watchword.core.ticket import Tickets
from watchword.factors.registry import Factors
from watchword.keys.ring import KeyRing
from watchword.mail.writing import MailWriter
from watchword.oauth.consents import Consents
from watchword.sessions import Sessions
from watchword.webhooks.registry import Webhooks


class AdminParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the admin API and the console use: `engine.admin`."""

    accounts: AccountAdmin
    sessions: SessionAdmin
    clients: ClientAdmin
    keys: KeyAdmin
    mail: MailAdmin
    invitations: InvitationAdmin
    events: EventAdmin
    overview: Overview
    health: HealthAdmin
    webhooks: WebhookAdmin
    cursors: Cursors


def admin_parts_of(
    base: Foundation,
    *,
    accounts: Accounts,
    service: SelfService,
    sessions: Sessions,
    clients: Clients,
    keys: KeyRing,
    factors: Factors,
    consents: Consents,
    webhooks: Webhooks,
    mail: MailWriter,
    watched: Watched,
    tickets: Tickets,
) -> AdminParts:
    """The parts, on the stores of `base`."""
    cursors = Cursors(tickets)
    role = base.settings.admin_role
    overview = Overview(stats=base.stores.stats, clock=base.clock)
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
        clients=ClientAdmin(clients=clients, cursors=cursors),
        keys=KeyAdmin(keys=keys),
        mail=MailAdmin(
            stores=base.stores,
            overview=overview,
            writer=mail,
            send_test=partial(_send_test, base, watched.settings),
            cursors=cursors,
            clock=base.clock,
        ),
        events=EventAdmin(audit=base.stores.audit, cursors=cursors),
        overview=overview,
        health=HealthAdmin(watched, clock=base.clock, monotonic=base.monotonic),
        webhooks=WebhookAdmin(webhooks=webhooks, cursors=cursors),
        cursors=cursors,
    )


async def _send_test(
    base: Foundation, settings: Callable[[], Settings], to: str, locale: str
) -> bytes:
    return await send_test_mail(
        settings(), to, locale, now=base.clock(), entropy=base.entropy
    )
