"""Every number that bounds a verifier. Durations are milliseconds, sizes bytes."""

from __future__ import annotations

from typing import Final

from watchword.core.limits import DAY, SECOND

# An issuer's metadata and JWKS are a few KB; a longer answer is refused.
METADATA_MAX: Final = 64 * 1024
FEED_ANSWER_MAX: Final = 512 * 1024
FETCH_TIMEOUT: Final = 5 * SECOND
# The issuer says by `Cache-Control: max-age` how long its keys may be kept. A verifier
# follows it between these bounds.
JWKS_AGE_MIN: Final = 30 * SECOND
JWKS_AGE_MAX: Final = DAY
# Any caller can send a token with a key id of its own invention. The verifier asks the
# issuer about unknown ids no more often than this.
JWKS_ASK: Final = 5 * SECOND
RETRY_LEAST: Final = SECOND // 4
RETRY_MOST: Final = 5 * SECOND
# A third of FEED_STALE: two answers in a row may fail before the feed is stale.
FEED_WAIT: Final = 10 * SECOND
FEED_RETRY: Final = SECOND
# Pause after an answer that brought new entries: logouts that follow each other closely
# are fetched together.
FEED_PAUSE: Final = SECOND // 10
# A load balancer may put several server processes behind one address. A follower keeps
# its place in the feeds of up to this many, and names them in each request.
FEED_PLACES: Final = 16
# DPoP proofs that were used, at some 110 bytes each. At 2,000 proofs a second the
# oldest of a million have expired by the time that their place is needed.
PROOFS_REMEMBERED: Final = 1_000_000
