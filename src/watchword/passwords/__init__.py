"""Passwords: which are accepted, how they are stored, and what it costs to check them.

    policy   which new passwords are refused
    breached the passwords of a file of breaches
    formats  the stored hashes that can be checked: our own and imported ones
    pool     a bounded queue for a few low-priority threads, fair between addresses
    hasher   argon2id on that pool: hash and verify

Nothing here knows accounts, throttling or stores. A password is used exactly as it was
received (ASVS 5.0 6.2.8), in UTF-8: it is not normalised, trimmed or truncated.
"""

from __future__ import annotations

from watchword.extras import needs

with needs("watchword[accounts]"):
    from watchword.passwords.breached import BreachedPasswords
    from watchword.passwords.formats import UNUSABLE, is_unusable, recognised
    from watchword.passwords.hasher import (
        INSECURE_FOR_TESTS,
        OWASP_FLOOR,
        HashParameters,
        PasswordHasher,
        cpus,
    )
    from watchword.passwords.policy import check_new_password

__all__ = [
    "INSECURE_FOR_TESTS",
    "OWASP_FLOOR",
    "UNUSABLE",
    "BreachedPasswords",
    "HashParameters",
    "PasswordHasher",
    "check_new_password",
    "cpus",
    "is_unusable",
    "recognised",
]
