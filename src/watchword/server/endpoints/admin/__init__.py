"""What operators call: `/api/admin`. A file has the calls of one kind of thing."""

from typing import Final

from watchword.server.endpoints.admin import (
    account_actions,
    account_parts,
    accounts,
    clients,
    events,
    figures,
    invitations,
    keys,
    mail,
    sessions,
    webhooks,
)
from watchword.server.operation import Operation

ENDPOINTS: Final[tuple[Operation, ...]] = (
    figures.OVERVIEW,
    accounts.LIST,
    accounts.CREATE,
    accounts.SHOW,
    accounts.CHANGE,
    accounts.DELETE,
    account_actions.DISABLE,
    account_actions.ENABLE,
    account_actions.SEND_RESET,
    account_actions.RESET_FACTORS,
    account_actions.END_SESSIONS,
    sessions.OF_ACCOUNT,
    account_parts.FACTORS,
    account_parts.CONSENTS,
    events.OF_ACCOUNT,
    sessions.LIST,
    sessions.END,
    sessions.END_BEFORE,
    invitations.LIST,
    invitations.INVITE,
    invitations.WITHDRAW,
    events.LIST,
    figures.STATS,
    *clients.ENDPOINTS,
    *keys.ENDPOINTS,
    *mail.ENDPOINTS,
    *webhooks.ENDPOINTS,
)
