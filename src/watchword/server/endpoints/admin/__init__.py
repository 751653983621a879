"""What operators call: `/api/admin`. A file has the calls of one kind of thing."""

from typing import Final

from watchword.server.endpoints.admin import accounts, clients, keys, mail, webhooks
from watchword.server.operation import Operation

ENDPOINTS: Final[tuple[Operation, ...]] = (
    accounts.LIST,
    accounts.SHOW,
    accounts.DISABLE,
    accounts.ENABLE,
    *clients.ENDPOINTS,
    *keys.ENDPOINTS,
    *mail.ENDPOINTS,
    *webhooks.ENDPOINTS,
)
