"""For resource servers: checks access tokens, offline and hostile input first.

Imports only `core` and `errors`: it can be used without the rest.
"""

from watchword.verify.dpop import DPOP_ALGORITHMS, Nonces, Proofs
from watchword.verify.jose import PublicKey
from watchword.verify.verifier import Verifier

__all__ = ["DPOP_ALGORITHMS", "Nonces", "Proofs", "PublicKey", "Verifier"]
