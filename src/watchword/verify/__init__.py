"""For resource servers: checks access tokens offline, and assumes hostile input.

Imports only `core` and what is below it, so it can be used without the rest of the
package. `Verifier` and `SyncVerifier` speak HTTP and need the extra `verify`. They are
imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from watchword.core.access_token import Claims
from watchword.extras import needs
from watchword.tokens.checker import Checker
from watchword.tokens.dpop import DPOP_ALGORITHMS, Nonces, Proofs
from watchword.tokens.jose import PublicKey

if TYPE_CHECKING:
    from watchword.verify.sync import SyncVerifier
    from watchword.verify.verifier import Health, Verifier

__all__ = [
    "DPOP_ALGORITHMS",
    "Checker",
    "Claims",
    "Health",
    "Nonces",
    "Proofs",
    "PublicKey",
    "SyncVerifier",
    "Verifier",
]

_HOME: Final = {
    "Health": "watchword.verify.verifier",
    "SyncVerifier": "watchword.verify.sync",
    "Verifier": "watchword.verify.verifier",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    with needs("watchword[verify]"):
        return getattr(import_module(_HOME[name]), name)
