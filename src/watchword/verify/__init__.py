"""For resource servers: checks access tokens, offline and hostile input first.

Imports only `core` and `errors`: it can be used without the rest.
"""

from watchword.core.access_token import Claims
from watchword.verify.checker import Checker
from watchword.verify.dpop import DPOP_ALGORITHMS, Nonces, Proofs
from watchword.verify.jose import PublicKey

__all__ = ["DPOP_ALGORITHMS", "Checker", "Claims", "Nonces", "Proofs", "PublicKey"]
