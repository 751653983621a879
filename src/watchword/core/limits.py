"""Every number that bounds something, with its source.

Durations are milliseconds unless the name says otherwise; sizes are bytes.
"""

from __future__ import annotations

from typing import Final

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Lifetimes. RFC 6750 §5.3: an hour at most for a bearer token; two minutes keeps the
# reach of a plain JWT verifier, which honours a logout only at ``exp``, short.
ACCESS_TTL: Final = 2 * MINUTE
ACCESS_TTL_MAX: Final = HOUR
REFRESH_IDLE: Final = 7 * DAY
# SP 800-63B-4 §2.1.3: 30 days at AAL1, whatever the activity.
REFRESH_ABSOLUTE: Final = 30 * DAY

# Rotation (design, section 3).
RETRY_WINDOW: Final = 24 * HOUR
REWIND_LIMIT: Final = 3
# Foreign software sends no retry key, and refreshes from several threads at once.
CLIENT_GRACE: Final = 10 * SECOND
GRACE_MAX: Final = MINUTE
BROWSER_GRACE: Final = 10 * SECOND
BROWSER_HOLD_OFF: Final = 30 * SECOND
# RFC 9449 binds the session to a key that must be proved at every refresh.
DPOP_GRACE: Final = MINUTE
GENERATION_MAX: Final = 2**32 - 1
# A retry later than this, or from elsewhere, is told apart in the audit log.
RETRY_LATE: Final = MINUTE
# A client asks again a few times; a captured request is replayed. This allows for the
# parallel retries of a client with a hundred tasks.
RETRIES_PER_MINUTE: Final = 120
# The draft's retry key: long enough to be drawn at random, short enough for a header.
RETRY_KEY_MIN: Final = 16
RETRY_KEY_MAX: Final = 128

# Refresh token: version 1 + session id 16 + generation 4 + secret 20 + MAC 16.
# RFC 6749 §10.10 asks for a guess probability of 2^-160 or less: 20 random bytes.
SESSION_ID_BYTES: Final = 16
SECRET_BYTES: Final = 20
MAC_BYTES: Final = 16
REFRESH_TOKEN_BYTES: Final = 57

# Access token. 8 KiB is what common proxies allow for one header line; larger ones are
# refused before anything is decoded (CVE-2025-61920).
ACCESS_TOKEN_MAX: Final = 8 * 1024
ACCESS_TOKEN_HEADER_MAX: Final = 1024
KEY_ID_MAX: Final = 128
# One verified token is about 1 KiB with its claims: 8 MiB at most.
VERIFIED_CACHE: Final = 8192

# DPoP (RFC 9449 §11.1: seconds to minutes). A nonce is accepted for this long; with it
# a client's clock need not be exact, so `iat` may be as far off in either direction.
DPOP_NONCE_STEP: Final = MINUTE
DPOP_NONCE_STEPS: Final = 5
DPOP_CLOCK: Final = 5 * MINUTE
DPOP_PROOF_MAX: Final = 4 * 1024
# Verified back to back on the event loop: some 4 ms of it.
DPOP_BATCH_MAX: Final = 64
DPOP_KEYS_CACHED: Final = 4096
# NIST SP 800-57 allows no less; more costs the verifier, not the attacker.
DPOP_RSA_BITS: Final = (2048, 4096)

# Clients. 256 random bits: no hash has to be slow.
CLIENT_SECRET_BYTES: Final = 32
CLIENT_ID_MAX: Final = 64
SCOPE_MAX: Final = 1024
SCOPE_CHARACTERS: Final = r"[\x21\x23-\x5B\x5D-\x7E]+"  # RFC 6749 §3.3
# Failures of client authentication, per client and per address (RFC 6749 §2.3.1).
THROTTLE_CLIENT_BURST: Final = 50
THROTTLE_CLIENT_INTERVAL: Final = 10 * SECOND

# A browser drops a cookie later (RFC 6265bis §5.5).
COOKIE_MAX_AGE: Final = 400 * DAY

# Machines that share a store have clocks of their own: a token that another has just
# signed may be from a little ahead (NTP: less than a second). Its end has no leeway.
CLOCK_SKEW: Final = 10 * SECOND

# Signing keys. A verifier may cache the JWKS for its max-age: a key is published at
# least that long before it signs (OpenID Connect Core §10.1.1).
JWKS_MAX_AGE: Final = 5 * MINUTE
KEY_ROTATION: Final = 30 * DAY
SERVER_SECRET_MIN: Final = 32

# Revocation feed (design, section 5).
FEED_POLL: Final = 250
FEED_STALE: Final = 30 * SECOND
# Within it a cursor is good. After a longer gap all is read: the store's clock may have
# been set back and have caught up since, and what it recorded meanwhile lies behind.
FEED_RECENT: Final = 5 * SECOND
# A read that has not come back by then hangs, perhaps: the next begins beside it.
FEED_PATIENCE: Final = SECOND // 2
FEED_READS: Final = 4
# Entries in one exchange with the store, or one answer over HTTP: 5 ms of the event
# loop, 100 KB. A million ended sessions (`sessions revoke --before`) are 1000 of them.
FEED_PAGE: Final = 1000
# How much longer than its last access token an ended session is remembered: more than
# a commit can take, than clocks differ, and than one is usually corrected by.
FEED_LEEWAY: Final = 5 * MINUTE
KEY_POLL: Final = SECOND

# The feed over HTTP. A long poll is answered well before common proxies give up (60 s),
# and a stream says something before anybody takes it for dead.
FEED_WAIT_MAX: Final = 25 * SECOND
FEED_STAMP: Final = 5 * SECOND
# Who may follow is asked again that often: a client that was disabled is let go of.
FEED_STREAM: Final = MINUTE
# Each costs a socket and a task. More APIs than that have more servers to ask.
FEED_FOLLOWERS: Final = 1000
# What one client, and one network, may have of them; and how many are only for clients
# that have none yet: an API that cannot follow refuses every token of its callers.
FEED_SHARE: Final = FEED_FOLLOWERS // 2
FEED_FIRST: Final = FEED_FOLLOWERS // 10

# Verifiers. What an issuer publishes is a few KB; more is not from an issuer.
METADATA_MAX: Final = 64 * 1024
FEED_ANSWER_MAX: Final = 512 * 1024
FETCH_TIMEOUT: Final = 5 * SECOND
# An issuer's word on how long its keys may be kept, within reason.
JWKS_AGE_MIN: Final = 30 * SECOND
JWKS_AGE_MAX: Final = DAY
# A key that nobody knows is asked for that often at most, whoever sends what.
JWKS_ASK: Final = 5 * SECOND
RETRY_LEAST: Final = SECOND // 4
RETRY_MOST: Final = 5 * SECOND
# A third of what makes the feed stale: two answers may fail.
FEED_WAIT: Final = 10 * SECOND
FEED_RETRY: Final = SECOND
# Logouts that come one upon another are fetched together.
FEED_PAUSE: Final = SECOND // 10
# Processes behind one address whose places a follower keeps, and names in a request.
FEED_PLACES: Final = 16
# Proofs that were used: some 110 bytes each. At 2,000 a second they are over by then.
PROOFS_REMEMBERED: Final = 1_000_000

# Connections of one process. An idle one costs 6 KiB: 200 MiB at most. The system's
# limit of open files is lower as a rule, and counts then.
CONNECTIONS_MAX: Final = 32_768

# Group commit. 512 refreshes fit one transaction well below 50 ms; the queue holds
# about a second of work, then sheds: an answer later than that is retried anyway.
BATCH_MAX: Final = 512
QUEUE_MAX: Final = 8192
# What one session may have waiting: the rest of the queue is for others.
QUEUE_PER_KEY: Final = QUEUE_MAX // 8
SWAP_ATTEMPTS: Final = 3

# Sweep: small steps, so that no refresh waits for one. Dead rows stay a while, so that
# an old token is told "expired" rather than "unknown".
SWEEP_EVERY: Final = MINUTE
SWEEP_LIMIT: Final = 500
SWEEP_LOOK: Final = 10_000
SWEEP_AFTER: Final = 7 * DAY
END_LIMIT: Final = 500
# Sessions in one answer; of a script that never logs out there may be any number more.
LIST_PAGE: Final = 100
LIST_LIMIT: Final = 1000
# Rows that one page looks at, expired and revoked ones too: some 20 ms of a store.
LIST_LOOK: Final = 10_000
AUDIT_RETENTION: Final = 400 * DAY
# Of a type of event that any caller can cause, in one process: ten a second for a
# minute, then one a second, some 15 MB a day.
EVENT_BURST: Final = 600
EVENT_INTERVAL: Final = SECOND

# How long a write that worked, or failed, speaks for the store's readiness.
WRITE_TRIED: Final = 5 * SECOND

# Sign-in throttle, counted by GCRA: a burst, then one more per interval.
# SP 800-63B-4 §3.2.2 allows 100 consecutive failures: a name's burst and a day of
# intervals are 92. Once an attack stops, its victim waits one interval at most.
THROTTLE_NAME_BURST: Final = 20
THROTTLE_NAME_INTERVAL: Final = 20 * MINUTE
THROTTLE_ADDRESS_BURST: Final = 50
THROTTLE_ADDRESS_INTERVAL: Final = 30 * SECOND

# What a session remembers of its device, so that a row stays below 400 bytes.
USER_AGENT_MAX: Final = 96
# RFC 5321 §4.5.3.1.3 allows 254 octets for an address used as a name.
USER_NAME_MAX: Final = 254
ROLE_MAX: Final = 64
ROLES_MAX: Final = 32
