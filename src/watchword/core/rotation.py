"""The rotation rule, whole: what becomes of a session when a refresh token comes.

    presented generation n, against the row's `current`

    n < current-1    n == current-1           n == current         n > current
         |            |                        |                    |
         |            +- its retry key,        +- just rotated:     +- by at most
         |            |  in the window: RETRY  |  SAME (hold-off)   |  rewind_limit:
         |            +- in the grace, from    +- the key that made |  ROTATE (rewound)
         |            |  the network that made |  `current`: REFUSE |
         |            |  `current` (*): RETRY  |                    |
         v            v                        v                    v
       END (reuse)   END (reuse)              ROTATE               END (restored)

    (*) from any network, where the token is in a cookie or the session's key is proved

`judge` is the only place that knows it. It is pure: callers load the row, judge, and
write the verdict only where the row is still the one that was judged.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import msgspec

from watchword.core.limits import GENERATION_MAX
from watchword.core.network import network_of
from watchword.core.session import ALL, Asked, Policy, Session
from watchword.errors import (
    InvalidProof,
    InvalidScope,
    InvalidTarget,
    RefreshInvalid,
    RetryKeyReused,
    SessionExpired,
    SessionRevoked,
    WatchwordError,
)


class Presented(msgspec.Struct, frozen=True):
    """A refresh token whose MAC was right, and what came with it.

    `address` is the caller's; an empty one is unknown.
    """

    session_id: bytes
    generation: int
    secret: bytes
    client_id: str
    retry_key: str | None = None
    asked: Asked = ALL
    cookie: bool = False
    address: str = ""


class Rotate(msgspec.Struct, frozen=True):
    """Spend the presented token; `generation` is the successor's."""

    generation: int
    rewound: bool = False


class Retry(msgspec.Struct, frozen=True):
    """The answer got lost: the same successor once more, nothing written."""


class Same(msgspec.Struct, frozen=True):
    """Rotated a moment ago: the presented token stays current, nothing written."""


class End(msgspec.Struct, frozen=True):
    """End this session, and only this one."""

    reason: Literal["reuse", "restored"]


class Refuse(msgspec.Struct, frozen=True):
    """Answer with this error; nothing is spent and nothing revoked."""

    error: type[WatchwordError]


Verdict = Rotate | Retry | Same | End | Refuse


def judge(
    session: Session | None, presented: Presented, policy: Policy, now: int
) -> Verdict:
    """What becomes of the session. The first check that fails decides."""
    # 1 (shape, size, MAC) needs no row and was done when the token was parsed.
    # 2-4 never revoke: whoever cannot show the secret has no say over the session.
    if session is None or not _knows_secret(session, presented):
        return Refuse(RefreshInvalid)
    if (refused := _not_theirs(session, presented, policy)) is not None:
        return refused
    if session.revoked_at is not None:
        return Refuse(SessionRevoked)
    if now >= session.ends_at(policy):
        return Refuse(SessionExpired)
    # 5: the generations.
    if presented.generation == session.generation:
        return _current(session, presented, now)
    if presented.generation < session.generation:
        return _spent(session, presented, policy, now)
    # The store lost its last writes: the client holds what it was truly given, since
    # nobody can make the MAC of a generation that was never minted.
    ahead = presented.generation - session.generation
    if ahead <= policy.rewind_limit and presented.generation < GENERATION_MAX:
        return Rotate(presented.generation + 1, rewound=True)
    return End("restored")


def _not_theirs(
    session: Session, presented: Presented, policy: Policy
) -> Refuse | None:
    """Another client, another way than it was given, no proof, or more than granted."""
    if presented.client_id != session.client_id or presented.cookie != session.cookie:
        return Refuse(RefreshInvalid)
    asked = presented.asked
    if session.jkt is not None and asked.jkt != session.jkt:
        return Refuse(InvalidProof)
    if not set(asked.scope or ()) <= set(session.scope):
        return Refuse(InvalidScope)
    granted = session.audience or (policy.audience,)
    if not set(asked.resources or ()) <= set(granted):
        return Refuse(InvalidTarget)
    return None


def _current(session: Session, presented: Presented, now: int) -> Verdict:
    if abs(now - session.rotated_at) < session.hold_off:
        return Same()
    if _made_with(session, presented, session.generation - 1):
        return Refuse(RetryKeyReused)
    if session.generation == GENERATION_MAX:
        return End("restored")
    return Rotate(session.generation + 1)


def _spent(session: Session, presented: Presented, policy: Policy, now: int) -> Verdict:
    # Distances are absolute, so that a clock set back opens nothing.
    age = abs(now - session.rotated_at)
    if presented.generation == session.generation - 1:
        by_key = _made_with(session, presented, presented.generation)
        if by_key and age <= policy.retry_window:
            return Retry()
        if age < session.grace and _from_where_it_was_spent(session, presented):
            return Retry()
    return End("reuse")


def _from_where_it_was_spent(session: Session, presented: Presented) -> bool:
    """Whether it may be the client that spent the token: a thief is elsewhere.

    The tabs that share a cookie, and a key that was proved, are the client anywhere.
    """
    if session.cookie or session.jkt is not None:
        return True
    network = network_of(presented.address)
    return network is not None and network == network_of(session.address)


def _knows_secret(session: Session, presented: Presented) -> bool:
    shown = hashlib.sha256(presented.secret).digest()
    return hmac.compare_digest(shown, session.secret_hash)


def _made_with(session: Session, presented: Presented, generation: int) -> bool:
    """Whether the presented key is the one that spent `generation`."""
    if presented.retry_key is None or generation < 0:
        return False
    shown = retry_hash(presented.secret, generation, presented.retry_key)
    return hmac.compare_digest(shown, session.retry_hash)


def retry_hash(secret: bytes, generation: int, key: str) -> bytes:
    """What the row keeps of the retry key with which `generation` was spent."""
    stamp = generation.to_bytes(4)
    return hashlib.sha256(b"retry" + secret + stamp + key.encode("ascii")).digest()
