"""The whole rotation rule: what happens to a session when a refresh token comes.

    presented generation n, against the row's `current`

    n < current-1    n == current-1           n == current         n > current
         |            |                        |                    |
         +- (**)      +- its retry key,        +- just rotated (#): +- by at most
         |            |  in the window: RETRY  |  SAME (hold-off)   |  rewind_limit:
         |            +- in the grace, from    +- the key that made |  ROTATE (rewound)
         |            |  the network that made |  `current`: REFUSE |
         |            |  `current` (*): RETRY  |                    |
         v            v                        v                    v
       END (reuse)   END (reuse)              ROTATE               END (restored)

    (*)  from any network, where the token is in a cookie or the session's key is proved
    (#)  unless the user has proved more with this request: then ROTATE, early; also
         by the token that was spent just now
    (**) current-2, in a cookie, where `current` was made early: RETRY in the grace of
         the rotation before, because another tab may have sent it in that time

`judge` is the only place that knows the rule. It is pure: its callers load the row,
judge, and write the verdict only where the row is still the one that was judged.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import GENERATION_MAX
from watchword.core.network import network_of
from watchword.core.session import (
    EVERYTHING,
    Authenticated,
    Policy,
    RequestedToken,
    Session,
)
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
    """A refresh token with the right MAC, and the rest of its request.

    `address` is the caller's, and empty where it is not known.
    """

    session_id: bytes
    generation: int
    secret: bytes
    client_id: str
    retry_key: str | None = None
    requested: RequestedToken = EVERYTHING
    cookie: bool = False
    address: str = ""
    proved: Authenticated | None = None
    """What the user has proved for this request, besides having the token."""


class Rotate(msgspec.Struct, frozen=True):
    """Spend the presented token. `generation` is that of its successor.

    `early` says that it would have been held off, if the user had proved nothing.
    """

    generation: int
    rewound: bool = False
    early: bool = False


class Retry(msgspec.Struct, frozen=True):
    """The client lost an answer: give the same successor again, write nothing."""


class Same(msgspec.Struct, frozen=True):
    """The session was rotated a moment ago: keep the presented token, write nothing."""


class End(msgspec.Struct, frozen=True):
    """End this session, and only this one."""

    reason: EndReason


class Refuse(msgspec.Struct, frozen=True):
    """Answer with this error; nothing is spent and nothing revoked."""

    error: type[WatchwordError]


Verdict = Rotate | Retry | Same | End | Refuse


def judge(
    session: Session | None, presented: Presented, policy: Policy, now: int
) -> Verdict:
    """The verdict on a presented token. The first check that fails decides.

    `now` is in milliseconds. Nothing is raised: a refusal is a verdict too.
    """
    # Check 1 (shape, size, MAC) needs no row and was made when the token was parsed.
    # Checks 2 to 4 never revoke: a caller that does not know the secret, or is not the
    # session's client, must not be able to end the session.
    if session is None or not _knows_secret(session, presented):
        return Refuse(RefreshInvalid)
    if (refused := _not_theirs(session, presented, policy)) is not None:
        return refused
    if session.revoked_at is not None:
        return Refuse(SessionRevoked)
    if now >= session.ends_at(policy):
        return Refuse(SessionExpired)
    # Check 5: the generations.
    if presented.generation == session.generation:
        return _current(session, presented, now)
    if presented.generation < session.generation:
        return _spent(session, presented, policy, now)
    # The store has lost its last writes, for example in a failover. The client holds a
    # token that it was really given: without the server secret no MAC can be made for a
    # generation that was never minted.
    ahead = presented.generation - session.generation
    if ahead <= policy.rewind_limit and presented.generation < GENERATION_MAX:
        return Rotate(presented.generation + 1, rewound=True)
    return End(EndReason.RESTORED)


def _not_theirs(
    session: Session, presented: Presented, policy: Policy
) -> Refuse | None:
    """The refusal of a request that the session's own client would not send; or None.

    Refused are another client, a token that came by another way than it was given
    (cookie or body), a missing or other DPoP key, and more scope or resources than
    were granted.
    """
    if presented.client_id != session.client_id or presented.cookie != session.cookie:
        return Refuse(RefreshInvalid)
    requested = presented.requested
    if session.jkt is not None and requested.jkt != session.jkt:
        return Refuse(InvalidProof)
    return too_wide(session, presented, policy)


def too_wide(session: Session, presented: Presented, policy: Policy) -> Refuse | None:
    """The refusal of a request for more than the session may have; or None."""
    requested = presented.requested
    if not set(requested.scope or ()) <= set(session.scope):
        return Refuse(InvalidScope)
    granted = session.audience or (policy.audience,)
    if not set(requested.resources or ()) <= set(granted):
        return Refuse(InvalidTarget)
    return None


def _current(session: Session, presented: Presented, now: int) -> Verdict:
    held_off = _age(session, now) < session.hold_off
    if held_off and not _rises(session, presented):
        return Same()
    if _made_with(session, presented, session.generation - 1):
        return Refuse(RetryKeyReused)
    return _next(session, early=_would_be_early(session, now))


def _spent(session: Session, presented: Presented, policy: Policy, now: int) -> Verdict:
    behind = session.generation - presented.generation
    if behind == 1 and _answer_was_lost(session, presented, policy, now):
        # A proof makes a generation of its own: with this one, the token before would
        # seem to have been spent a moment ago too.
        can_be_early = _would_be_early(session, now) and not _made_early(session)
        if can_be_early and _rises(session, presented):
            return _next(session, early=True)
        return Retry()
    # The rotation before an early one has spent the token of two generations ago.
    of_tab = behind == 2 and session.cookie and _made_early(session)  # noqa: PLR2004
    if of_tab and abs(now - session.rotated_at) < session.grace:
        return Retry()
    return End(EndReason.REUSE)


def _next(session: Session, *, early: bool) -> Rotate | End:
    if session.generation == GENERATION_MAX:
        return End(EndReason.RESTORED)
    return Rotate(session.generation + 1, early=early)


def _answer_was_lost(
    session: Session, presented: Presented, policy: Policy, now: int
) -> bool:
    """Whether the client that spent this token, one generation ago, sends it again."""
    age = _age(session, now)
    if age < session.grace and _from_where_it_was_spent(session, presented):
        return True
    by_key = _made_with(session, presented, presented.generation)
    return by_key and age <= policy.retry_window


def _would_be_early(session: Session, now: int) -> bool:
    """Whether a rotation at `now` comes in the hold-off of one that was not early."""
    return abs(now - session.rotated_at) < session.hold_off


def _age(session: Session, now: int) -> int:
    """How long ago (ms) the current generation was made.

    It is the absolute distance, so that a clock set back does not reopen a window.
    """
    made = session.auth_time if _made_early(session) else session.rotated_at
    return abs(now - made)


def _made_early(session: Session) -> bool:
    """Whether the current generation was made in the hold-off of the one before.

    A rotation is as late as the proof that it came with, or later. An early one leaves
    `rotated_at` as it was.
    """
    return 0 < session.auth_time - session.rotated_at < session.hold_off


def _rises(session: Session, presented: Presented) -> bool:
    proved = presented.proved
    return proved is not None and session.proved(proved) != session


def _from_where_it_was_spent(session: Session, presented: Presented) -> bool:
    """Whether the caller may be the client that spent the token.

    A thief usually calls from another network. Tabs that share a cookie, and a caller
    that proved the session's key, count as the client from any network.
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


def is_retry(session: Session, presented: Presented) -> bool:
    """Whether the presented token and key are those that made the current generation.

    Then the request was answered before: its caller has proved what it asks for.
    """
    spent = session.generation - 1
    return presented.generation == spent and _made_with(session, presented, spent)


def retry_hash(secret: bytes, generation: int, key: str) -> bytes:
    """The hash that the row keeps of the retry key that came with `generation`."""
    stamp = generation.to_bytes(4)
    return hashlib.sha256(b"retry" + secret + stamp + key.encode("ascii")).digest()
