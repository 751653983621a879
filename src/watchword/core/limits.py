"""Every number that bounds something, with its source.

Durations are milliseconds unless the name says otherwise; sizes are bytes.
"""

from __future__ import annotations

from typing import Final

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# Lifetimes. RFC 6750 §5.3: an hour at most for a bearer token. The default is two
# minutes, because a plain JWT verifier honours a logout only at ``exp``.
ACCESS_TTL: Final = 2 * MINUTE
ACCESS_TTL_MAX: Final = HOUR
REFRESH_IDLE: Final = 7 * DAY
# SP 800-63B-4 §2.1.3: 30 days at AAL1, whatever the activity.
REFRESH_ABSOLUTE: Final = 30 * DAY

# The sign-in of a browser at this server. A use of its cookie is written this often.
SIGN_IN_IDLE: Final = 12 * HOUR
SIGN_IN_ABSOLUTE: Final = 30 * DAY
SIGN_IN_USE_WRITTEN: Final = 5 * MINUTE
# Tabs that sign in at the same moment: each may find that another one was faster.
SIGN_IN_TABS: Final = 32
# Events and mails about a use from a new network, for each account: an address may
# change with every request.
NEW_NETWORK_BURST: Final = 5
NEW_NETWORK_INTERVAL: Final = HOUR

# Rotation.
RETRY_WINDOW: Final = 24 * HOUR
REWIND_LIMIT: Final = 3
# OAuth software in general sends no retry key and refreshes from several threads at
# once.
CLIENT_GRACE: Final = 10 * SECOND
GRACE_MAX: Final = MINUTE
BROWSER_GRACE: Final = 10 * SECOND
BROWSER_HOLD_OFF: Final = 30 * SECOND
# RFC 9449 binds the session to a key that must be proved at every refresh.
DPOP_GRACE: Final = MINUTE
GENERATION_MAX: Final = 2**32 - 1
# A retry that comes later than this, or from another network, is marked in the audit
# log.
RETRY_LATE: Final = MINUTE
# Retries of one session. A client that lost an answer asks again a few times; an
# attacker replays a captured request without end. The number leaves room for the
# parallel retries of a client with a hundred tasks.
RETRIES_PER_MINUTE: Final = 120
# The `Idempotency-Key` header (an IETF draft) in characters: long enough for a random
# value, short enough for a header.
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

# DPoP. RFC 9449 §11.1 allows seconds to minutes. A nonce is accepted for STEP * STEPS.
# A proof with a nonce does not depend on the client's clock, so its `iat` may be off by
# as much in either direction.
DPOP_NONCE_STEP: Final = MINUTE
DPOP_NONCE_STEPS: Final = 5
DPOP_CLOCK: Final = 5 * MINUTE
DPOP_PROOF_MAX: Final = 4 * 1024
# Proofs verified in one go on the event loop, which they hold for some 4 ms.
DPOP_BATCH_MAX: Final = 64
DPOP_KEYS_CACHED: Final = 4096
# NIST SP 800-57 allows no fewer bits. More bits cost the verifier, not the attacker.
DPOP_RSA_BITS: Final = (2048, 4096)

# Clients. A secret has 256 random bits, so a fast hash is safe to store.
CLIENT_SECRET_BYTES: Final = 32
CLIENT_ID_MAX: Final = 64
SCOPE_MAX: Final = 1024
SCOPE_CHARACTERS: Final = r"[\x21\x23-\x5B\x5D-\x7E]+"  # RFC 6749 §3.3
# Failed client authentications, per client and per address (RFC 6749 §2.3.1).
THROTTLE_CLIENT_BURST: Final = 50
THROTTLE_CLIENT_INTERVAL: Final = 10 * SECOND

# A browser keeps no cookie for longer (RFC 6265bis §5.5).
COOKIE_MAX_AGE: Final = 400 * DAY

# Machines that share a store have clocks of their own: a token that another machine has
# just signed may seem to come from the future (with NTP by less than a second). The
# expiry of a token has no such leeway.
CLOCK_SKEW: Final = 10 * SECOND

# Signing keys. A verifier may cache the JWKS for its max-age, so a key is published at
# least that long before it signs (OpenID Connect Core §10.1.1).
JWKS_MAX_AGE: Final = 5 * MINUTE
KEY_ROTATION: Final = 30 * DAY
# An ID token that expired long ago is still a hint at a sign-out (OpenID Connect
# RP-Initiated Logout §2): its key is kept for as long as a session may last.
ID_TOKEN_HINT: Final = REFRESH_ABSOLUTE
SERVER_SECRET_MIN: Final = 32

# Revocation feed.
FEED_POLL: Final = 250
FEED_STALE: Final = 30 * SECOND
# A cursor that is older than this is not used: the feed is read from its beginning. The
# store's clock may have been set back and have caught up during the gap, and the
# entries recorded in between would lie before the cursor.
FEED_RECENT: Final = 5 * SECOND
# A read of the feed that has not returned after this long may hang: the next one starts
# without waiting for it. FEED_READS is how many may be under way.
FEED_TIMEOUT: Final = SECOND // 2
FEED_READS: Final = 4
# Entries in one exchange with the store or one answer over HTTP: 5 ms of the event
# loop, 100 KB. A million ended sessions (`sessions revoke --before`) take 1000 pages.
FEED_PAGE: Final = 1000
# How much longer than its last access token an ended session is remembered. It is
# longer than a commit can take, than the clocks of two machines differ, and than the
# step by which a clock is usually corrected.
FEED_LEEWAY: Final = 5 * MINUTE
KEY_POLL: Final = SECOND

# The feed over HTTP. A long poll is answered well before common proxies give up (60 s).
# A stream sends a stamp this often, so that neither a proxy nor the follower takes it
# for dead.
FEED_WAIT_MAX: Final = 25 * SECOND
FEED_STAMP: Final = 5 * SECOND
# A stream ends after this long and its client must ask again: so a client that was
# disabled meanwhile stops following.
FEED_STREAM: Final = MINUTE
# Followers of one process. Each costs a socket and a task. An installation with more
# APIs than this also has more servers for them to follow.
FEED_FOLLOWERS: Final = 1000
# FEED_SHARE is how many of these places one client, or one network, may take.
# FEED_FIRST are kept for clients that have no place yet, because an API that cannot
# follow has to refuse every token.
FEED_SHARE: Final = FEED_FOLLOWERS // 2
FEED_FIRST: Final = FEED_FOLLOWERS // 10

# Connections of one process. An idle one costs 6 KiB: 200 MiB at most. The operating
# system's limit of open files is usually lower, and then that one applies.
CONNECTIONS_MAX: Final = 32_768

# Group commit. 512 refreshes fit one transaction well below 50 ms. The queue holds
# about a second of work and refuses more: by the time of a later answer the client
# would have retried anyway.
BATCH_MAX: Final = 512
QUEUE_MAX: Final = 8192
# How many requests of one session may wait: the rest of the queue is for other
# sessions.
QUEUE_PER_KEY: Final = QUEUE_MAX // 8
SWAP_ATTEMPTS: Final = 3

# Sweep: small steps, so that no refresh has to wait for a long one. Dead rows stay a
# while, so that the answer to an old token is "expired" and not "unknown".
SWEEP_EVERY: Final = MINUTE
SWEEP_LIMIT: Final = 500
SWEEP_LOOK: Final = 10_000
SWEEP_AFTER: Final = 7 * DAY
END_LIMIT: Final = 500
# Sessions in one answer. An account may have any number more: a script that signs in
# and never logs out makes them.
LIST_PAGE: Final = 100
LIST_LIMIT: Final = 1000
# Rows that the store looks at for one page, expired and revoked ones included: some 20
# ms of its time.
LIST_LOOK: Final = 10_000
# As many rows as a store may read in the event loop. Few accounts have more sessions;
# measured, a list of them in a thread costs an exchange of a code a third of its time.
LIST_LOOK_FEW: Final = 64
AUDIT_RETENTION: Final = 400 * DAY
# How far the order of events in the log may be from that of their instants: clocks
# differ, and events of sessions in Redis come to the log up to a minute later, or once
# the database answers again.
AUDIT_DISORDER: Final = HOUR
# Audit events that any caller can cause, for each type of event and process: ten a
# second for a minute, then one a second. That is some 15 MB a day.
EVENT_BURST: Final = 600
EVENT_INTERVAL: Final = SECOND
# Codes of one browser, for each process. Each may become a session, whose row and
# events stay for long: without a limit one user leaves some hundred of them a second.
CODES_BURST: Final = 60
CODES_INTERVAL: Final = SECOND

# Readiness tries a write at most this often. In between, the result of the last try
# stands, whether it worked or failed.
WRITE_TRIED: Final = 5 * SECOND

# Sign-in throttle, counted by GCRA: a burst, then one more per interval.
# SP 800-63B-4 §3.2.2 allows 100 consecutive failures: a name's burst and a day of
# intervals are 92. Once an attack stops, its victim waits one interval at most.
THROTTLE_NAME_BURST: Final = 20
THROTTLE_NAME_INTERVAL: Final = 20 * MINUTE
THROTTLE_ADDRESS_BURST: Final = 50
THROTTLE_ADDRESS_INTERVAL: Final = 30 * SECOND

# Calls of one network that need no sign-in: registrations, requests for another mail,
# and tries of a token. What they may make the store hold is bounded besides.
REGISTER_BURST: Final = 20
REGISTER_INTERVAL: Final = 12 * MINUTE
ASK_BURST: Final = 300
ASK_INTERVAL: Final = MINUTE
CONFIRM_BURST: Final = 20
CONFIRM_INTERVAL: Final = 3 * MINUTE

# Changes of one account by its user, of each kind: far more than a user needs, so that
# the names which a user lets go, and the mails that tell of it, are few.
ACCOUNT_CHANGE_BURST: Final = 10
ACCOUNT_CHANGE_INTERVAL: Final = HOUR
# Addresses that one account may have been moved away from in REVERT_LIFE, besides one
# that was asked for at the same time. Each gets every notice.
WAYS_BACK_MAX: Final = 5

# Registrations that wait for one address, so that a stranger's do not crowd out its
# owner's, nor fill the store.
REGISTRATIONS_PER_ADDRESS: Final = 8
# Links that work at a time to reset one password, or to change one address.
CONFIRMATIONS_LIVE: Final = 3
# How long a name or address that an account let go stays its own: applications may
# still know their users by it.
HELD_FOR: Final = 90 * DAY
# Messages to addresses that no account has confirmed: so many may wait, and at most one
# in MAIL_UNKNOWN_SHARE of those that are sent at a time is one of them.
UNKNOWN_WAITING_MAX: Final = 1000
MAIL_UNKNOWN_SHARE: Final = 3

# Characters of the `User-Agent` that a session keeps, so that a row stays below 400
# bytes.
USER_AGENT_MAX: Final = 96
# RFC 5321 §4.5.3.1.3 allows 254 octets for an address used as a name.
USER_NAME_MAX: Final = 254
# A name that a user chose is shown on pages: as long as a mailbox's.
CHOSEN_NAME_MAX: Final = 64
ROLE_MAX: Final = 64
ROLES_MAX: Final = 32

# Mail addresses: RFC 5321 §4.5.3.1.1 and §4.5.3.1.3, in octets.
MAIL_ADDRESS_MAX: Final = 254
MAIL_LOCAL_PART_MAX: Final = 64

# One-time tokens travel by mail: version 1 + purpose 1 + secret 32. SP 800-63B-4 allows
# 24 hours for a code that is mailed to recover an account; a reset needs less. A way
# back must outlast a few days without mail.
ONE_TIME_BYTES: Final = 32
REGISTRATION_LIFE: Final = DAY
RESET_LIFE: Final = 30 * MINUTE
ADDRESS_LIFE: Final = DAY
REVERT_LIFE: Final = 7 * DAY
# A token to enrol the first factor with: by mail, and from an operator.
ENROL_LIFE: Final = 30 * MINUTE
ENROL_CODE_LIFE: Final = DAY

# Second factors. A continuation, and the challenge of a passkey; an authenticator app
# that is not confirmed yet. Tickets are carried in bodies and forms.
CONTINUATION_LIFE: Final = 5 * MINUTE
TOTP_PENDING_LIFE: Final = 10 * MINUTE
TICKET_MAX: Final = 4096
INTERACTION_LIFE: Final = 30 * MINUTE
PAR_LIFE: Final = MINUTE
# How long after its issue a code makes a session, and how late a lost answer is asked
# for again.
CODE_LIFE: Final = MINUTE
ID_TOKEN_TTL: Final = 10 * MINUTE
# A request of a client, in characters of its query: common servers and proxies take 8
# KiB of a request line. It has to fit a ticket besides.
AUTHORIZATION_MAX: Final = 8 * 1024
# What a client may have registered, and how long each address may be.
REDIRECT_URIS_MAX: Final = 32
REDIRECT_URI_MAX: Final = 512
CLIENT_NAME_MAX: Final = 64
# How old the latest proof of a user may be that lets a client have more.
CONSENT_RECENT: Final = 15 * MINUTE
# How often it is written that a code was made by what a user has allowed.
CONSENT_USE_WRITTEN: Final = HOUR
# Where a session would end this soon, the user signs in first.
SESSION_LEAST: Final = MINUTE
# Sessions of one client in one group.
MEMBERS_MAX: Final = 8
# Ended sessions that one step looks at for roots: a few ms of the store's time.
GROUPS_BATCH: Final = 500
RESOURCES_MAX: Final = 5
FACTORS_MAX: Final = 20
FACTOR_NAME_MAX: Final = 64
RECOVERY_CODES: Final = 10
# Passkeys. The name of a user for authenticators (WebAuthn §14.6.1). In characters of
# base64url: the id of a passkey, 1023 bytes at most (§4), a name for authenticators, 64
# at most (§5.4.3), and each of the three fields that an authenticator fills.
PASSKEY_HANDLE_BYTES: Final = 32
PASSKEY_HANDLE_MAX: Final = 86
PASSKEY_ID_MAX: Final = 1364
PASSKEY_FIELD_MAX: Final = 4096
# At so many that are left, or fewer, a user is told to make new ones.
RECOVERY_CODES_FEW: Final = 3
TOTP_STEP: Final = 30 * SECOND
# SP 800-63B-4 §3.2.2: at most 100 failures in a row. What comes between is ours.
FACTOR_ACCOUNT_BURST: Final = 5
FACTOR_ACCOUNT_INTERVAL: Final = 30 * SECOND
FACTOR_NETWORK_BURST: Final = 20
FACTOR_NETWORK_INTERVAL: Final = 30 * SECOND
FACTOR_FAILURES_MAX: Final = 100
# A counter that runs down as slowly as this counts what comes in a row.
FACTOR_FAILURES_INTERVAL: Final = 3650 * DAY
# The owner is told of so many wrong factors in a row, and then once an hour at most.
FACTOR_FAILURES_TOLD: Final = 3
FACTOR_TOLD_INTERVAL: Final = HOUR
# A proof of the user that a change of factors, address or account asks for.
RECENT: Final = 5 * MINUTE
INVITATION_LIFE: Final = 7 * DAY

# Lists for operators. A page has ADMIN_LIST_MAX items at most, and looks at ADMIN_LOOK
# rows: some 10 ms of the store's time. A cursor lasts a day: a page can be left open.
ADMIN_LIST: Final = 50
ADMIN_LIST_MAX: Final = 200
ADMIN_LOOK: Final = 5_000
CURSOR_LIFE: Final = DAY
# An address that a list is asked for: longer than any, also with a zone behind it.
ADDRESS_MAX: Final = 64
# A write by the admin API or the console needs a proof of the last 15 minutes.
ADMIN_RECENT: Final = 15 * MINUTE
# Charts: so many series, kept so long.
STATS_EVERY: Final = MINUTE
# What goes up and down is written into the page of metrics so often, and what the
# system says of the process ten times less.
LEVELS_EVERY: Final = SECOND
PROCESS_EVERY: Final = 10 * SECOND
STATS_MAX: Final = 64
STATS_KEPT: Final = 8 * DAY
# Webhooks. So many deliveries of one wait at most: the events that follow stay in the
# audit log meanwhile. It is read in pages of WEBHOOK_READ, and each webhook is handed
# WEBHOOK_PAGES at a time: 2,000 events a second. A try may take WEBHOOK_TIMEOUT; the
# lease is longer by what two clocks may differ. Of those delivered or given up, as many
# are shown, for as long.
WEBHOOKS_MAX: Final = 20
WEBHOOK_WAITING_MAX: Final = 1_000
WEBHOOK_READ: Final = 500
WEBHOOK_PAGES: Final = 4
WEBHOOK_POLL: Final = SECOND
WEBHOOK_PARALLEL: Final = 4
WEBHOOK_TIMEOUT: Final = 15 * SECOND
WEBHOOK_LEASE: Final = 30 * SECOND
WEBHOOK_ANSWER_MAX: Final = 256
WEBHOOK_SHOWN: Final = 7 * DAY
WEBHOOK_SHOWN_MAX: Final = 10_000
WEBHOOK_SECRET_BOTH: Final = DAY
# Before each try, in milliseconds: the example of Standard Webhooks, "Retry schedule".
# A fifth more comes by chance, so that what failed together does not return together.
WEBHOOK_TRIES: Final = (
    *(0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR),
    *(5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR),
)
WEBHOOK_JITTER: Final = 5
# After a success all that waits is due, if the endpoint had failed for so long: where
# it takes some deliveries and not others, these would be tried with each success.
WEBHOOK_HURRY: Final = MINUTE

# The outbox. The sender looks at it once every MAIL_POLL. It has MAIL_PARALLEL messages
# under way, of which MAIL_PARALLEL_UNKNOWN may go to unknown addresses. One message may
# take MAIL_TIMEOUT, for RFC 5321 §4.5.3.2 would wait minutes for each command. The
# lease is longer by what two clocks may differ, so that no message is sent twice at a
# time. After a crash it is how long a message that was being sent has to wait.
MAIL_POLL: Final = SECOND
MAIL_PARALLEL: Final = 16
MAIL_PARALLEL_UNKNOWN: Final = 8
MAIL_TIMEOUT: Final = 30 * SECOND
MAIL_LEASE: Final = 45 * SECOND
# Retries: 5 s, 15 s, 45 s, ... an hour: one and a half hours in all.
MAIL_TRIES: Final = 8
MAIL_BACKOFF: Final = 5 * SECOND
MAIL_BACKOFF_FACTOR: Final = 3
MAIL_BACKOFF_MAX: Final = HOUR
# What stands in front of sealed contents: the name of the server secret.
SECRET_NAME_BYTES: Final = 8
# Mails to one address that any caller can cause.
MAIL_ADDRESS_BURST: Final = 3
MAIL_ADDRESS_INTERVAL: Final = HOUR
# Mails a minute, unless a setting says otherwise. One in MAIL_UNKNOWN_SHARE of them may
# go to an address that no account has confirmed.
MAIL_RATE: Final = 60
MAIL_RATE_MAX: Final = 60_000
# Characters of the name that mails and pages show.
SERVICE_NAME_MAX: Final = 64
