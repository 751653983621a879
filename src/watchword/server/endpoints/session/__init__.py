"""The calls of the session layer: sign in, refresh, log out, and a user's sessions."""

from typing import Final

from watchword.server.endpoints.session import (
    login,
    logout,
    me,
    refresh,
    secure,
    sessions,
)

ENDPOINTS: Final = (
    login.OPERATION,
    secure.OPERATION,
    refresh.OPERATION,
    logout.LOGOUT,
    logout.LOGOUT_ALL,
    me.OPERATION,
    sessions.LIST,
    sessions.END,
)
