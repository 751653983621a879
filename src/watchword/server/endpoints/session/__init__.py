"""The calls of the session layer: sign in, refresh, log out, and a user's sessions."""

from typing import Final

from watchword.server.endpoints.session import (
    continuation,
    enrolment,
    forward,
    login,
    logout,
    me,
    passkey,
    refresh,
    secure,
    sessions,
)

ENDPOINTS: Final = (
    login.OPERATION,
    continuation.OPERATION,
    passkey.OPTIONS,
    passkey.LOGIN,
    enrolment.ASK,
    enrolment.BEGIN_TOTP,
    enrolment.CONFIRM_TOTP,
    enrolment.BEGIN_PASSKEY,
    enrolment.CONFIRM_PASSKEY,
    secure.OPERATION,
    refresh.OPERATION,
    logout.LOGOUT,
    logout.LOGOUT_ALL,
    me.OPERATION,
    forward.OPERATION,
    sessions.LIST,
    sessions.END,
)
