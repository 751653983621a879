"""The endpoints: a folder for each domain, and in it a file for each concern.

A file has the function that answers, and its declaration as an `Operation`.

session    the calls of the session layer
account    the calls by which accounts serve themselves
factors    the calls about second factors, and step-up
oauth      what OAuth clients and resource servers call
operation  health checks, documentation, files
pages      what users see: pages to sign in, register, confirm, reset, and the account
admin      what operators call
console    what operators look at
"""

from typing import Final

from watchword.server.endpoints import (
    account,
    admin,
    console,
    factors,
    oauth,
    operation,
    pages,
    session,
)

ENDPOINTS: Final = (
    *session.ENDPOINTS,
    *account.ENDPOINTS,
    *factors.ENDPOINTS,
    *oauth.ENDPOINTS,
    *operation.ENDPOINTS,
    *pages.ENDPOINTS,
    *admin.ENDPOINTS,
    *console.ENDPOINTS,
)
"""All endpoints of the server, in the order of the OpenAPI document."""

AT_ADMIN_LISTENER: Final = (
    *operation.AT_ADMIN_LISTENER,
    *pages.AT_ADMIN_LISTENER,
    *admin.ENDPOINTS,
    *console.ENDPOINTS,
)
"""What the listener of WATCHWORD_ADMIN_LISTEN serves."""

BESIDE_ADMIN_LISTENER: Final = tuple(
    one for one in ENDPOINTS if one not in admin.ENDPOINTS
)
"""What the main listener serves beside that one.

Whether it has the console and the metrics, too, is decided by request: `listeners.py`.
"""
