"""The calls by which accounts serve themselves: none of them for an app's own users."""

from typing import Final

from watchword.server.endpoints.account import (
    consents,
    email,
    invitations,
    password,
    profile,
    register,
)

ENDPOINTS: Final = (
    register.REGISTER,
    register.RESEND,
    register.CONFIRM,
    invitations.OPERATION,
    password.FORGOT,
    password.RESET,
    password.CHANGE,
    email.CHANGE,
    email.CONFIRM,
    email.REVERT,
    profile.SHOW,
    profile.CHANGE,
    profile.DELETE,
    consents.LIST,
    consents.SHOW,
    consents.WITHDRAW,
)
