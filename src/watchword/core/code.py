"""The authorization code: a ticket that names the session which its redemption makes.

The rule for a code whose session is there already is `judge_code`, beside `judge`.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Verdict,
    retry_hash,
    too_wide,
)
from watchword.core.session import Authenticated, Policy, Session, SessionOptions
from watchword.errors import CodeInvalid


class CodeGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a code says. `at` is the instant of its issue (ms).

    `authenticated` has no roles: they are read at the redemption. `root` is the id of
    the browser's sign-in. `root_mark` is of the hash of its secret, which is known from
    the store alone: the server secret is not enough to forge a code. `redirect_hash` is
    the SHA-256 of the redirect URI.
    """

    session_id: bytes
    seed: bytes
    at: int
    authenticated: Authenticated
    root: bytes
    root_mark: bytes
    client_id: str
    redirect_hash: bytes
    challenge: str
    nonce: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    jkt: str

    def __repr__(self) -> str:
        return f"CodeGrant(client_id={self.client_id!r})"


def mark_of(root: Session) -> bytes:
    """What a code says of its root besides the id; it does not change by sign-ins."""
    return hashlib.sha256(b"root" + root.secret_hash).digest()


def secret_of(seed: bytes, shown: str) -> bytes:
    """The secret of the session: of the code's seed and what the client shows.

    `shown` is the verifier (RFC 7636), or the client's secret where the code has no
    challenge. So neither a log with codes nor the server secret is enough to make it.
    """
    mixed = hashlib.sha256(b"code" + seed + shown.encode()).digest()
    return mixed[: limits.SECRET_BYTES]


def session_of(
    grant: CodeGrant,
    authenticated: Authenticated,
    options: SessionOptions,
    policy: Policy,
    presented: Presented,
    *,
    user_agent: str,
    now: int,
) -> Session:
    """The session that a code makes at `now`: at generation 1, its first refresh token.

    `authenticated` is what the code says, with the roles of now. The absolute lifetime
    counts from the user's sign-in: of a code that is as old as its sign-in, as of one
    that single sign-on has made much later.
    """
    started = Session.started(
        authenticated,
        options,
        policy,
        randomness=bytes(10),
        secret_hash=hashlib.sha256(presented.secret).digest(),
        retry_hash=_made_by(presented, options.jkt),
        address=presented.address,
        user_agent=user_agent,
        now=now,
    )
    expires_at = min(started.expires_at, authenticated.at + policy.refresh_absolute)
    return msgspec.structs.replace(
        started,
        id=grant.session_id,
        generation=1,
        expires_at=expires_at,
        idle_expires_at=min(started.idle_expires_at, expires_at),
    )


def judge_code(
    session: Session, presented: Presented, policy: Policy, now: int
) -> Verdict:
    """The verdict on a code whose session is there. `presented` has generation 0.

    It is `Retry` for the same key (and DPoP key) within CODE_LIFE while the session is
    at generation 1. Otherwise the session ends: `CODE_REUSED`.

    Unlike `judge` it knows no grace, for a code is redeemed by one request. What the
    caller lacks besides is looked at last: a thief must not be able to hide that the
    code came twice.
    """
    if session.revoked_at is not None or now >= session.ends_at(policy):
        return Refuse(CodeInvalid)
    made = hmac.compare_digest(_made_by(presented, session.jkt), session.retry_hash)
    age = abs(now - session.rotated_at)
    if session.generation == 1 and made and age <= limits.CODE_LIFE:
        return too_wide(session, presented, policy) or Retry()
    return End(EndReason.CODE_REUSED)


def _made_by(presented: Presented, jkt: str | None) -> bytes:
    """What the row keeps of the request that made its session, whose key is `jkt`.

    It is the hash that `judge` knows, of the retry key. A proof of another key than the
    session's is part of it: so the request is the same only with the same proof.
    """
    key, proved = presented.retry_key or "", presented.requested.jkt
    # No retry key has a blank in it.
    shown = key if proved == jkt else f"{key} {proved}"
    return retry_hash(presented.secret, presented.generation, shown)
