"""Watchword: the session layer for Python APIs.

Sign in once; the API gets a short-lived JWT; the client holds a refresh token that
changes at every use; logging out ends the session everywhere.

The names below are imported when they are first used, so that `import watchword` alone
needs none of the extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watchword.accounts.registration_rules import RegistrationRequest
    from watchword.bootstrap import Watchword, open_watchword
    from watchword.config import Settings, load_settings
    from watchword.errors import WatchwordError
    from watchword.sign_in.own_users import Credentials, Subject
    from watchword.verify import Verifier

__version__: Final = "0.6.0"

__all__ = [
    "Credentials",
    "RegistrationRequest",
    "Settings",
    "Subject",
    "Verifier",
    "Watchword",
    "WatchwordError",
    "__version__",
    "load_settings",
    "open_watchword",
]

_HOME: Final = {
    "Credentials": "watchword.sign_in.own_users",
    "RegistrationRequest": "watchword.accounts.registration_rules",
    "Settings": "watchword.config",
    "Subject": "watchword.sign_in.own_users",
    "Verifier": "watchword.verify",
    "Watchword": "watchword.bootstrap",
    "WatchwordError": "watchword.errors",
    "load_settings": "watchword.config",
    "open_watchword": "watchword.bootstrap",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from watchword.extras import needs  # noqa: PLC0415 - when needed

    with needs(f"watchword[{'verify' if name == 'Verifier' else 'server'}]"):
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
