"""The rule for the cookie of a browser's sign-in at this server.

The cookie holds a refresh token. A browser loads pages side by side, ahead of time and
from links on other sites, so a use does not rotate it. Each sign-in does.

    presented generation n, against the row's `current`

    n < current-1    n == current-1       n == current    n > current
         |            |                    |               |
         |            +- just signed in:   |               +- by at most rewind_limit:
         |            |  SAME              |               |  ROTATE (to n, rewound)
         v            v                    v               v
       END (reuse)   END (reuse)          SAME            END (restored)

`judge_cookie` is pure, as `judge` is for the refresh.
"""

from __future__ import annotations

import hashlib
import hmac

from watchword.core.actor import EndReason
from watchword.core.policies import PAGES
from watchword.core.rotation import End, Presented, Refuse, Rotate, Same, Verdict
from watchword.core.session import Policy, Session
from watchword.errors import RefreshInvalid, SessionExpired, SessionRevoked


def made_at(now: int) -> bytes:
    """What the row has in the place of a retry key's hash: when its cookie was made.

    Not every proof moves `auth_time`: after a change of the password it stays.
    In a session that has just begun there are random bytes, and no cookie before.
    """
    return now.to_bytes(32)


def judge_cookie(
    session: Session | None, presented: Presented, policy: Policy, now: int
) -> Verdict:
    """The verdict on the token of a cookie, at `now` (ms).

    `Rotate` says which generation the row has to have. Nothing is raised.
    """
    if session is None or session.client_id != PAGES:
        return Refuse(RefreshInvalid)
    shown = hashlib.sha256(presented.secret).digest()
    if not hmac.compare_digest(shown, session.secret_hash):
        return Refuse(RefreshInvalid)
    if session.revoked_at is not None:
        return Refuse(SessionRevoked)
    if now >= session.ends_at(policy):
        return Refuse(SessionExpired)
    generation = presented.generation
    if generation > session.generation:
        # The store has lost its last writes: see `judge`.
        is_near = generation - session.generation <= policy.rewind_limit
        return Rotate(generation, rewound=True) if is_near else End(EndReason.RESTORED)
    # Requests may have been on their way when the browser got its new cookie. An older
    # server says by `auth_time` alone when that was. The distance is absolute, so that
    # a clock set back does not reopen the window.
    made = (session.auth_time, int.from_bytes(session.retry_hash))
    just = min(abs(now - instant) for instant in made) < policy.grace
    accepted = generation == session.generation or (
        generation == session.generation - 1 and just
    )
    return Same() if accepted else End(EndReason.REUSE)
