"""The calls about second factors, of accounts and of an app's own users alike."""

from typing import Final

from watchword.server.endpoints.factors import (
    factors,
    passkeys,
    recovery_codes,
    step_up,
    totp,
)

ENDPOINTS: Final = (
    factors.LIST,
    totp.BEGIN,
    totp.CONFIRM,
    passkeys.OPTIONS,
    passkeys.ADD,
    recovery_codes.OPERATION,
    factors.RENAME,
    factors.REMOVE,
    step_up.OPERATION,
)
