"""What operators and developers ask for: health checks, documentation, files."""

from typing import Final

from watchword.server.endpoints.operation import (
    browser_module,
    docs,
    health,
    home,
    metrics,
    openapi,
)

ENDPOINTS: Final = (
    health.HEALTH,
    health.READY,
    home.OPERATION,
    metrics.OPERATION,
    openapi.OPERATION,
    docs.PAGE,
    docs.FILE,
    browser_module.MODULE,
    browser_module.TYPES,
)

AT_ADMIN_LISTENER: Final = (
    health.HEALTH,
    health.READY,
    metrics.OPERATION,
    openapi.OPERATION,
)
"""Those that the listener for operators serves too."""
