"""For resource servers: checks access tokens, offline and hostile input first.

Imports only `core` and `errors`: it can be used without the rest.
"""

from watchword.verify.verifier import PublicKey, Verifier

__all__ = ["PublicKey", "Verifier"]
