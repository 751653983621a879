"""For resource servers: checks access tokens offline, and assumes hostile input.

Imports only `tokens` and what is below it, so it can be used without the rest of the
package. `Verifier` and `SyncVerifier` speak HTTP and need the extra `verify`. They are
imported when they are first used.

    verifier      `Verifier`: checks tokens, and follows the issuer in two tasks
    sync          `SyncVerifier`: the same in a thread, for programs without a loop
    discovery     where an issuer publishes its keys and its feed
    fetching      one bounded GET of a document of the issuer
    keyset        the issuer's keys, and when to ask for them again
    following     the ended sessions, and how old that knowledge is
    replay_cache  which DPoP proofs this process has seen
    forking       what a forked child process has to make anew
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
