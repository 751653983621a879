"""The authorization code: a ticket that names the session which its redemption makes.

The rule for a code whose session is there already is `judge_code`, beside `judge`.
"""

from __future__ import annotations

import hashlib

import msgspec

from watchword.core import limits
from watchword.core.rotation import Presented, Verdict
from watchword.core.session import Authenticated, Policy, Session


class CodeGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a code says. `at` is the instant of its issue (ms).

    `authenticated` has no roles: they are read at the redemption. `root` is the id of
    the browser's sign-in. `redirect_hash` is the SHA-256 of the redirect URI.
    """

    session_id: bytes
    seed: bytes
    at: int
    authenticated: Authenticated
    root: bytes
    client_id: str
    redirect_hash: bytes
    challenge: str
    nonce: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    jkt: str

    def __repr__(self) -> str:
        return f"CodeGrant(client_id={self.client_id!r})"


def secret_of(seed: bytes, shown: str) -> bytes:
    """The secret of the session: of the code's seed and what the client shows.

    `shown` is the verifier (RFC 7636), or the client's secret where the code has no
    challenge. So neither a log with codes nor the server secret is enough to make it.
    """
    mixed = hashlib.sha256(b"code" + seed + shown.encode()).digest()
    return mixed[: limits.SECRET_BYTES]


def judge_code(
    session: Session, presented: Presented, policy: Policy, now: int
) -> Verdict:
    """The verdict on a code whose session is there. `presented` has generation 0.

    It is `Retry` for the same key (and DPoP key) within CODE_LIFE while the session is
    at generation 1. Otherwise the session ends: `CODE_REUSED`.
    """
    raise NotImplementedError
