"""What operators look at: `/console`. A file is one screen.

A screen is made in three steps: its view in `server/console/`, its template beside
that, and its handlers here. `visitor.py` says which browsers may see it.
"""

from typing import Final

from watchword.server.endpoints.console import (
    account,
    accounts,
    clients,
    events,
    health,
    keys,
    mail,
    overview,
    sessions,
    webhooks,
)
from watchword.server.operation import Operation

ENDPOINTS: Final[tuple[Operation, ...]] = (
    *overview.ENDPOINTS,
    *accounts.ENDPOINTS,
    *account.ENDPOINTS,
    *clients.ENDPOINTS,
    *keys.ENDPOINTS,
    *mail.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *sessions.ENDPOINTS,
    *events.ENDPOINTS,
    *health.ENDPOINTS,
)
