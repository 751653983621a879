-- Every statement of the PostgreSQL store, by name. Columns are named everywhere, so
-- that code before and after a migration can run side by side. A transaction that locks
-- several rows locks them in order of their keys, so that no two can deadlock.

-- name: probe
SELECT
    pg_backend_pid(),
    current_setting('synchronous_commit'),
    current_setting('server_encoding');

-- name: set_timeouts
SELECT
    set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', $1, false);

-- name: no_statement_timeout
SET LOCAL statement_timeout = 0;

-- name: has_migrations
SELECT to_regclass('watchword.schema_migrations') IS NOT NULL;

-- name: applied_migrations
SELECT number, checksum FROM watchword.schema_migrations ORDER BY number;

-- name: lock_migrations
SELECT pg_advisory_xact_lock(6083146175);

-- name: create_migrations
CREATE SCHEMA IF NOT EXISTS watchword;
CREATE TABLE IF NOT EXISTS watchword.schema_migrations (
    number   integer NOT NULL PRIMARY KEY,
    checksum text    NOT NULL
);

-- name: migrated
INSERT INTO watchword.schema_migrations (number, checksum) VALUES ($1, $2);

-- name: create_session
WITH created AS (
    INSERT INTO watchword.sessions (
        id, account_id, client_id, secret_hash, retry_hash, generation, version,
        authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
        hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope,
        audience, jkt, amr, acr, cookie, auth_time, started_from
    ) VALUES (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
        $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), told AS (
    INSERT INTO watchword.audit (
        type, at, account_id, session_id, client_id, address, detail
    )
    SELECT
        $28::text, $29::bigint, $30::bytea, $31::bytea, $32::text, $33::text, $34::text
    FROM created
)
SELECT id FROM created;

-- name: load_sessions
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM watchword.sessions WHERE id = ANY($1::bytea[]);

-- name: swap_session
UPDATE watchword.sessions SET
    generation = $3, version = $4, retry_hash = $5, rotated_at = $6,
    idle_expires_at = $7, address = $8
WHERE id = $1 AND version = $2
RETURNING id;

-- name: swap_whole_session
WITH swapped AS (
    UPDATE watchword.sessions SET
        generation = $3, version = $4, retry_hash = $5, rotated_at = $6,
        idle_expires_at = $7, address = $8, revoked_at = $9, revoked_reason = $10,
        auth_time = $11, amr = $12, acr = $13
    WHERE id = $1 AND version = $2
    RETURNING id
), fed AS (
    INSERT INTO watchword.ended (session_id, at, until)
    SELECT id, $9, $14::bigint FROM swapped WHERE $14 IS NOT NULL
), told AS (
    INSERT INTO watchword.audit (
        type, at, account_id, session_id, client_id, address, detail
    )
    SELECT
        $15::text, $16::bigint, $17::bytea, $18::bytea, $19::text, $20::text, $21::text
    FROM swapped WHERE $15 IS NOT NULL
)
SELECT id FROM swapped;

-- name: stretch
-- The rows that one page of a list looks at: the last id, and how many there are.
SELECT id, count(*) OVER () FROM (
    SELECT id FROM watchword.sessions WHERE id < $1 ORDER BY id DESC LIMIT $2
) AS looked ORDER BY id LIMIT 1;

-- name: stretch_of_account
SELECT id, count(*) OVER () FROM (
    SELECT id FROM watchword.sessions
    WHERE id < $1 AND account_id = $2 ORDER BY account_id DESC, id DESC LIMIT $3
) AS looked ORDER BY id LIMIT 1;

-- name: list_sessions
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM watchword.sessions
WHERE id < $1 AND id >= $2 AND revoked_at IS NULL
    AND idle_expires_at >= $4 AND expires_at >= $4
    AND rotated_at >= $5 AND authenticated_at >= $6
    AND ($7::text IS NULL OR client_id = $7::text)
ORDER BY id DESC LIMIT $3;

-- name: list_sessions_of_account
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM watchword.sessions
WHERE account_id = $8 AND id < $1 AND id >= $2 AND revoked_at IS NULL
    AND idle_expires_at >= $4 AND expires_at >= $4
    AND rotated_at >= $5 AND authenticated_at >= $6
    AND ($7::text IS NULL OR client_id = $7::text)
ORDER BY account_id DESC, id DESC LIMIT $3;

-- name: read_committed
-- Whatever the database's default: after a wait for `lock_sessions_of_account`, the next
-- statement has to see what the other transaction has committed.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- name: lock_sessions_of_account
-- Two transactions that create sessions of an account must not miss each other's.
SELECT pg_advisory_xact_lock(
    hashtextextended('watchword sessions ' || encode($1, 'hex'), 0)
);

-- name: too_many_of_account
-- The live sessions of all groups but those that were refreshed latest.
WITH live AS (
    SELECT id, coalesce(started_from, id) AS root, rotated_at FROM watchword.sessions
    WHERE account_id = $1 AND revoked_at IS NULL
        AND coalesce(started_from, id) NOT IN ($2, $3)
        AND idle_expires_at >= $4 AND expires_at >= $4
        AND rotated_at >= $5 AND authenticated_at >= $6
)
SELECT id FROM live WHERE root IN (
    SELECT root FROM live
    GROUP BY root ORDER BY max(rotated_at) DESC, root DESC OFFSET $7
);

-- name: end_session
-- `until` is computed as by `known_until` in core/session.py.
WITH revoked AS (
    UPDATE watchword.sessions SET
        revoked_at = $2, revoked_reason = $3, version = version + 1
    WHERE id = $1 AND revoked_at IS NULL
    RETURNING id, account_id, greatest($2, rotated_at) + access_ttl + $4 AS until
), fed AS (
    INSERT INTO watchword.ended (session_id, at, until)
    SELECT id, $2, until FROM revoked
), told AS (
    INSERT INTO watchword.audit (
        type, at, account_id, session_id, client_id, address, detail
    )
    SELECT $5::text, $2, account_id, id, $6::text, $7::text, $8::text
    FROM revoked
)
SELECT id, until FROM revoked;

-- name: record_again
-- Records the feed entry of a session anew, where another transaction ended it. That
-- commit may have become visible too late for readers of the feed, and its caller may
-- have got no answer. This is a statement of its own, because it must see the commit
-- for which the statement before it had to wait.
UPDATE watchword.ended SET recorded_at = DEFAULT WHERE session_id = $1
RETURNING session_id;

-- name: find_of_account
WITH stretch AS (
    SELECT id, coalesce(started_from, id) IS DISTINCT FROM $2 AND (
        revoked_at IS NULL
        OR EXISTS (SELECT FROM watchword.ended WHERE session_id = id)
    ) AS meant
    FROM watchword.sessions WHERE account_id = $1 AND id > $3
    ORDER BY account_id, id LIMIT $4
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT id FROM stretch ORDER BY id DESC LIMIT 1)
ORDER BY id LIMIT $5;

-- name: live_of_account
WITH stretch AS (
    SELECT id, revoked_at IS NULL AS meant
    FROM watchword.sessions WHERE account_id = $1 AND id > $2
    ORDER BY account_id, id LIMIT $3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT id FROM stretch ORDER BY id DESC LIMIT 1)
ORDER BY id LIMIT $4;

-- name: find_signed_in_before
WITH stretch AS (
    SELECT id, authenticated_at < $1 AND (
        revoked_at IS NULL
        OR EXISTS (SELECT FROM watchword.ended WHERE session_id = id)
    ) AS meant
    FROM watchword.sessions WHERE id > $2 ORDER BY id LIMIT $3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT id FROM stretch ORDER BY id DESC LIMIT 1)
ORDER BY id LIMIT $4;

-- name: find_of_client
WITH stretch AS (
    SELECT id, client_id = $1 AND (
        revoked_at IS NULL
        OR EXISTS (SELECT FROM watchword.ended WHERE session_id = id)
    ) AS meant
    FROM watchword.sessions WHERE id > $2 ORDER BY id LIMIT $3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT id FROM stretch ORDER BY id DESC LIMIT 1)
ORDER BY id LIMIT $4;

-- name: assign_roles
UPDATE watchword.sessions SET roles = $2, version = version + 1
WHERE id = $1 AND revoked_at IS NULL
RETURNING id;

-- name: feed
WITH clock AS (
    SELECT
        incarnation,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
    FROM watchword.store
)
SELECT
    clock.incarnation, clock.now, ended.recorded_at, ended.session_id, ended.at,
    ended.until
FROM clock LEFT JOIN LATERAL (
    SELECT recorded_at, session_id, at, until FROM watchword.ended
    WHERE (recorded_at, session_id) > (
        CASE
            WHEN clock.incarnation = $1 AND clock.now >= $2 THEN $3::bigint ELSE 0
        END,
        CASE
            WHEN clock.incarnation = $1 AND clock.now >= $2 THEN $4::bytea ELSE ''
        END
    )
    ORDER BY recorded_at, session_id LIMIT $5
) AS ended ON true
ORDER BY recorded_at, session_id;

-- name: sweep_step
SELECT id FROM (
    SELECT id FROM watchword.sessions WHERE id > $1 ORDER BY id LIMIT $2
) AS stretch ORDER BY id DESC LIMIT 1;

-- name: sweep_sessions
-- The array is made once. With IN the planner may choose a join and run the subquery
-- anew for each remaining row: then the limit would have no effect.
DELETE FROM watchword.sessions WHERE id = ANY (ARRAY(
    SELECT id FROM watchword.sessions
    WHERE id > $1 AND id <= $2 AND idle_expires_at < $3
    LIMIT $4 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_feed
DELETE FROM watchword.ended WHERE session_id = ANY (ARRAY(
    SELECT session_id FROM watchword.ended
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_throttle
DELETE FROM watchword.throttle WHERE key = ANY (ARRAY(
    SELECT key FROM watchword.throttle
    WHERE runs_down <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_used_once
DELETE FROM watchword.used_once WHERE key = ANY (ARRAY(
    SELECT key FROM watchword.used_once
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_audit
WITH swept AS (
    DELETE FROM watchword.audit WHERE sequence IN (
        SELECT sequence FROM (
            SELECT sequence, at FROM watchword.audit ORDER BY sequence LIMIT $2
        ) AS oldest
        WHERE at < $1
    )
    RETURNING sequence
), noted AS (
    UPDATE watchword.store SET audit_swept = (SELECT max(sequence) FROM swept)
    WHERE audit_swept < (SELECT max(sequence) FROM swept)
)
SELECT sequence FROM swept;

-- name: sweep_registrations
DELETE FROM watchword.registrations WHERE id_hash = ANY (ARRAY(
    SELECT id_hash FROM watchword.registrations
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_confirmations
DELETE FROM watchword.confirmations WHERE token_hash = ANY (ARRAY(
    SELECT token_hash FROM watchword.confirmations
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_credentials
DELETE FROM watchword.credentials WHERE id = ANY (ARRAY(
    SELECT id FROM watchword.credentials
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_held
DELETE FROM watchword.held WHERE key = ANY (ARRAY(
    SELECT key FROM watchword.held
    WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: add_account
INSERT INTO watchword.accounts (
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: accounts_like
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM watchword.accounts
WHERE id = $1 OR name IN ($2, $3) OR email_key IN ($2, $3);

-- name: account_by_name
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM watchword.accounts WHERE name = $1;

-- name: account_by_id
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM watchword.accounts WHERE id = $1;

-- name: account_by_email
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM watchword.accounts WHERE email_key = $1;

-- name: list_accounts
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM watchword.accounts WHERE name > $1 ORDER BY name LIMIT $2;

-- name: lock_enabled_of_role
-- The roles are looked at too: a row that another transaction had locked is looked at
-- again as it is then, but the list of accounts is not.
SELECT id FROM watchword.accounts
WHERE id = ANY (
        ARRAY(SELECT account_id FROM watchword.account_roles WHERE role = $1::text)
    )
    AND NOT disabled AND strpos(' ' || roles || ' ', ' ' || $1::text || ' ') > 0
ORDER BY id FOR UPDATE;

-- name: swap_account
UPDATE watchword.accounts SET
    name = $1, password_hash = $2, roles = $3, epoch = $4, version = $5,
    disabled = $6, email = $7, email_key = $8, email_confirmed_at = $9,
    locale = $10
WHERE id = $11 AND version = $12
RETURNING id;

-- name: delete_account
DELETE FROM watchword.accounts WHERE id = $1 AND version = $2 RETURNING id;

-- name: holds
SELECT key, account_id, until, false FROM watchword.held WHERE key IN ($1, $2)
UNION ALL
SELECT email_key, account_id, until, true FROM watchword.confirmations
WHERE purpose = 'revert' AND email_key IN ($1, $2);

-- name: hold
INSERT INTO watchword.held (key, account_id, until) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET
    account_id = excluded.account_id, until = excluded.until;

-- name: end_hold
DELETE FROM watchword.held WHERE key = $1;

-- name: lock_address
-- Registrations for one address, one transaction after the other: each has to see those
-- that it crowds out. Under REPEATABLE READ it sees what was there when it began to wait,
-- so that one too many may stay until the next.
SELECT pg_advisory_xact_lock(hashtextextended($1, 6083146175));

-- name: put_registration
INSERT INTO watchword.registrations (
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (email_key, network) DO UPDATE SET
    id_hash = excluded.id_hash,
    token_hash = excluded.token_hash,
    email = excluded.email,
    username = excluded.username,
    password_hash = excluded.password_hash,
    locale = excluded.locale,
    created_at = excluded.created_at,
    until = excluded.until;

-- name: neighbours
SELECT
    id_hash, created_at, network,
    (SELECT count(*) FROM watchword.registrations AS its WHERE its.network = one.network)
FROM watchword.registrations AS one WHERE email_key = $1 AND network <> $2;

-- name: drop_registration
DELETE FROM watchword.registrations WHERE id_hash = $1;

-- name: registration_by_id
SELECT
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
FROM watchword.registrations WHERE id_hash = $1;

-- name: registration_by_token
SELECT
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
FROM watchword.registrations WHERE token_hash = $1;

-- name: renew_registration
UPDATE watchword.registrations SET token_hash = $1 WHERE id_hash = $2
RETURNING id_hash;

-- name: spend_registrations
-- All of an address, in order of their keys: two callers that spend them at once meet at
-- the first one.
DELETE FROM watchword.registrations WHERE id_hash = ANY (ARRAY(
    SELECT id_hash FROM watchword.registrations WHERE email_key = (
        SELECT email_key FROM watchword.registrations WHERE token_hash = $1
    )
    ORDER BY id_hash FOR UPDATE
))
RETURNING token_hash;

-- name: lock_account
SELECT id FROM watchword.accounts WHERE id = $1 FOR UPDATE;

-- name: add_confirmation
INSERT INTO watchword.confirmations (
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (token_hash) DO NOTHING;

-- name: confirmation_by_token
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM watchword.confirmations WHERE token_hash = $1;

-- name: confirmations_of_account
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM watchword.confirmations WHERE account_id = $1 ORDER BY created_at, token_hash;

-- name: spend_confirmation
DELETE FROM watchword.confirmations
WHERE token_hash = $1 AND (account_id = $2 OR account_id IS NULL)
RETURNING
    token_hash, account_id, purpose, email, email_key, created_at, until, roles;

-- name: drop_confirmation
DELETE FROM watchword.confirmations WHERE token_hash = $1;

-- name: drop_confirmations_of_account
DELETE FROM watchword.confirmations WHERE account_id = $1;

-- name: lock_credentials_of_account
-- Of two transactions that add rows, or delete several, each has to see what the other
-- one did.
SELECT pg_advisory_xact_lock(
    hashtextextended('watchword credentials ' || encode($1, 'hex'), 0)
);

-- name: add_credential
INSERT INTO watchword.credentials (
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: credentials_like
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM watchword.credentials
WHERE id = $1 OR (kind = $2 AND key = $3 AND key <> '');

-- name: credential_by_key
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM watchword.credentials WHERE kind = $1 AND key = $2 AND key <> '';

-- name: credentials_of_account
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM watchword.credentials WHERE account_id = $1 ORDER BY created_at, id;

-- name: swap_credential
UPDATE watchword.credentials SET
    label = $1, sealed = $2, used_at = $3, step = $4, version = $5
WHERE id = $6 AND version = $7
RETURNING id;

-- name: delete_credential
DELETE FROM watchword.credentials WHERE id = $1 AND version = $2 RETURNING id;

-- name: drop_credential
DELETE FROM watchword.credentials WHERE id = $1;

-- name: drop_credentials_of_account
DELETE FROM watchword.credentials WHERE account_id = $1;

-- name: secrets_of_credentials
SELECT substring(sealed FROM 1 FOR $1) AS secret, count(*)
FROM watchword.credentials WHERE sealed <> '' GROUP BY secret;

-- name: sealed_credentials
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM watchword.credentials WHERE sealed <> '' AND id > $1 ORDER BY id LIMIT $2;

-- name: reseal_credential
UPDATE watchword.credentials SET sealed = $1, version = version + 1
WHERE id = $2 AND sealed = $3;

-- name: add_message
INSERT INTO watchword.outbox (
    id, kind, sealed, not_before, account_id, lane, network
) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING;

-- name: waiting_messages
-- There is no max() of bytea.
SELECT network, count(*), (array_agg(id ORDER BY id DESC))[1]
FROM watchword.outbox WHERE lane = $1 GROUP BY network;

-- name: due_messages
-- Confirmed ones come first.
SELECT id, lane, network FROM watchword.outbox
WHERE kind = $1 AND not_before <= $2 AND leased_until <= $2
ORDER BY lane, id LIMIT $3;

-- name: lease_message
UPDATE watchword.outbox SET leased_until = $1
WHERE id = $2 AND leased_until <= $3 AND not_before <= $3
RETURNING
    id, kind, sealed, not_before, account_id, lane, network, attempts;

-- name: postpone_message
UPDATE watchword.outbox SET not_before = $1, attempts = $2, leased_until = 0
WHERE id = $3;

-- name: drop_message
DELETE FROM watchword.outbox WHERE id = $1;

-- name: drop_messages_of_account
DELETE FROM watchword.outbox WHERE account_id = $1;

-- name: list_messages
SELECT
    id, kind, sealed, not_before, account_id, lane, network, attempts
FROM watchword.outbox WHERE id > $1 ORDER BY id LIMIT $2;

-- name: secrets_of_outbox
SELECT substring(sealed FROM 1 FOR $1) AS secret, count(*)
FROM watchword.outbox GROUP BY secret;

-- name: reseal_message
UPDATE watchword.outbox SET sealed = $1 WHERE id = $2;

-- name: add_client
INSERT INTO watchword.clients (
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
    $19, $20
)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: load_client
SELECT
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
FROM watchword.clients WHERE id = $1;

-- name: list_clients
SELECT
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
FROM watchword.clients WHERE id > $1 ORDER BY id LIMIT $2;

-- name: swap_client
UPDATE watchword.clients SET
    secret_hash = $1, scope = $2, audience = $3, access_ttl = $4, grants = $5,
    rights = $6, dpop = $7, checks_dpop = $8, grace = $9, disabled = $10, version = $11,
    name = $12, redirect_uris = $13, post_logout_redirect_uris = $14,
    id_token_alg = $15, trusted = $16, pkce = $17, par = $18
WHERE id = $19 AND version = $20
RETURNING id;

-- name: use_once
INSERT INTO watchword.used_once (key, until) VALUES ($1, $2)
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: throttle_lock
SELECT key, runs_down FROM watchword.throttle WHERE key = $1 FOR UPDATE;

-- name: throttle_write
-- $3 is the value that was read, null for a new counter. Where another transaction has
-- made the same counter since, nothing is written.
INSERT INTO watchword.throttle (key, runs_down) VALUES ($1, $2)
ON CONFLICT (key) DO UPDATE SET runs_down = excluded.runs_down
WHERE throttle.runs_down = $3
RETURNING key;

-- name: throttle_forget
DELETE FROM watchword.throttle WHERE key = $1;

-- name: keys
SELECT
    store.key_revision, keys.kid, keys.alg, keys.state, keys.sealed, keys.changed_at,
    keys.use
FROM watchword.store LEFT JOIN (
    SELECT kid, alg, state, sealed, changed_at, 'access' AS use
    FROM watchword.signing_keys
    UNION ALL
    SELECT kid, alg, state, sealed, changed_at, use FROM watchword.id_token_keys
) AS keys ON true
ORDER BY keys.changed_at, keys.kid;

-- name: raise_key_revision
UPDATE watchword.store SET key_revision = key_revision + 1 WHERE key_revision = $1
RETURNING key_revision;

-- name: drop_keys
DELETE FROM watchword.signing_keys;

-- name: drop_id_token_keys
DELETE FROM watchword.id_token_keys;

-- name: add_key
INSERT INTO watchword.signing_keys (kid, alg, state, sealed, changed_at)
VALUES ($1, $2, $3, $4, $5);

-- name: add_id_token_key
INSERT INTO watchword.id_token_keys (kid, alg, state, sealed, changed_at, use)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: record
INSERT INTO watchword.audit (
    type, at, account_id, session_id, client_id, address, detail
) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: adopt
INSERT INTO watchword.audit (
    type, at, account_id, session_id, client_id, address, detail, place
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (place) WHERE place IS NOT NULL DO NOTHING;

-- name: read_events
SELECT sequence, type, at, account_id, session_id, client_id, address, detail
FROM watchword.audit WHERE sequence > $1 ORDER BY sequence LIMIT $2;

-- name: audit_writers
-- A transaction that writes to a table holds a lock on it until it is over.
SELECT virtualtransaction FROM pg_locks
WHERE relation = 'watchword.audit'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: last_event
SELECT greatest(
    audit_swept, (SELECT max(sequence) FROM watchword.audit)
) FROM watchword.store;

-- name: check
SELECT only_row FROM watchword.store;

-- name: put_consent
-- The account's row first, as its deletion does.
INSERT INTO watchword.consents (
    account_id, client_id, scope, resource, created_at, used_at
)
SELECT id, $2::text, $3::text, $4::text, $5::bigint, $6::bigint
FROM watchword.accounts WHERE id = $1 FOR KEY SHARE
ON CONFLICT (account_id, client_id) DO UPDATE SET
    scope = excluded.scope, resource = excluded.resource,
    created_at = excluded.created_at, used_at = excluded.used_at
RETURNING client_id;

-- name: load_consent
SELECT account_id, client_id, scope, resource, created_at, used_at
FROM watchword.consents WHERE account_id = $1 AND client_id = $2;

-- name: consents_of_account
SELECT account_id, client_id, scope, resource, created_at, used_at
FROM watchword.consents WHERE account_id = $1 ORDER BY client_id;

-- name: use_consent
UPDATE watchword.consents SET used_at = $3
WHERE account_id = $1 AND client_id = $2 AND used_at < $3
RETURNING client_id;

-- name: drop_consent
DELETE FROM watchword.consents WHERE account_id = $1 AND client_id = $2
RETURNING client_id;

-- name: event_before
-- The number of an event that was recorded before that instant, the latest that halving
-- the log finds; one less than the first number where it finds none.
WITH RECURSIVE halves (low, high) AS (
    SELECT
        coalesce((SELECT min(sequence) FROM watchword.audit), 1) - 1,
        coalesce((SELECT max(sequence) FROM watchword.audit), 0)
    UNION ALL
    SELECT
        CASE WHEN event.at < $1 THEN (low + high + 1) / 2 ELSE low END,
        CASE WHEN event.at < $1 THEN high ELSE (low + high + 1) / 2 - 1 END
    FROM halves JOIN watchword.audit AS event ON event.sequence = (
        SELECT sequence FROM watchword.audit WHERE sequence <= (low + high + 1) / 2
        ORDER BY sequence DESC LIMIT 1
    )
    WHERE low < high
)
SELECT low FROM halves WHERE low = high;

-- name: search_events
-- $1 says which index is walked, from $2 down to $3. Of several types each is a walk. One
-- goes $4 rows far; where that is not to its end, all end there: at `stretch.low`. Two
-- columns are compared together, and put in order together, where one would do: by the
-- one alone the planner may walk the whole log instead.
WITH walked AS MATERIALIZED (
    (
        SELECT '' AS walk, sequence FROM watchword.audit
        WHERE $1::text = 'session_id' AND session_id IS NOT NULL
            AND (session_id, sequence) < ($5::bytea, $2::bigint)
            AND (session_id, sequence) >= ($5::bytea, $3::bigint)
        ORDER BY session_id DESC, sequence DESC LIMIT $4
    )
    UNION ALL
    (
        SELECT '', sequence FROM watchword.audit
        WHERE $1::text = 'account_id' AND account_id IS NOT NULL
            AND (account_id, sequence) < ($6::bytea, $2::bigint)
            AND (account_id, sequence) >= ($6::bytea, $3::bigint)
        ORDER BY account_id DESC, sequence DESC LIMIT $4
    )
    UNION ALL
    (
        SELECT '', sequence FROM watchword.audit
        WHERE $1::text = 'address' AND address <> ''
            AND (address, sequence) < ($7::text, $2::bigint)
            AND (address, sequence) >= ($7::text, $3::bigint)
        ORDER BY address DESC, sequence DESC LIMIT $4
    )
    UNION ALL
    SELECT asked.type, its.sequence
    FROM json_array_elements_text($8::text::json) AS asked (type)
    CROSS JOIN LATERAL (
        SELECT sequence FROM watchword.audit
        WHERE $1::text = 'types'
            AND (audit.type, sequence) < (asked.type, $2::bigint)
            AND (audit.type, sequence) >= (asked.type, $3::bigint)
        ORDER BY audit.type DESC, sequence DESC LIMIT $4
    ) AS its
    UNION ALL
    (
        SELECT '', sequence FROM watchword.audit
        WHERE $1::text = '' AND sequence < $2::bigint AND sequence >= $3::bigint
        ORDER BY sequence DESC LIMIT $4
    )
), stretch AS MATERIALIZED (
    SELECT max(low) AS low FROM (
        SELECT min(sequence) AS low FROM walked
        GROUP BY walk HAVING count(*) = $4
    ) AS cut_off
)
SELECT
    stretch.low, sequence, type, at, account_id, session_id, client_id, address, detail
FROM stretch LEFT JOIN LATERAL (
    SELECT sequence, type, at, account_id, session_id, client_id, address, detail
    FROM watchword.audit
    WHERE sequence = ANY (
            ARRAY(SELECT sequence FROM walked WHERE sequence >= coalesce(low, $3))
        )
        AND ($5::bytea IS NULL OR session_id = $5::bytea)
        AND ($6::bytea IS NULL OR account_id = $6::bytea)
        AND ($7::text = '' OR address = $7::text)
        AND (
            $8::text IS NULL
            OR type = ANY (ARRAY(SELECT json_array_elements_text($8::text::json)))
        )
        AND at >= $9 AND at < $10
    ORDER BY sequence DESC LIMIT $11
) AS found ON true
ORDER BY sequence DESC;

-- name: search_accounts
-- $8 says by what: by name, those of a role, or those that are disabled. With a prefix
-- ($2) also by address, for names that do not begin so. From $1 up to $3. A walk goes $4
-- rows far; where that is not to its end, all end there: at `stretch.high`.
WITH walked AS MATERIALIZED (
    (
        SELECT 'name' AS walk, name AS key, id FROM watchword.accounts
        WHERE $8::text = 'name' AND name >= $1::text AND name < $3::text
        ORDER BY name LIMIT $4
    )
    UNION ALL
    (
        SELECT 'name', name, account_id FROM watchword.account_roles
        WHERE $8::text = 'role' AND (role, name) >= ($5::text, $1::text)
            AND (role, name) < ($5::text, $3::text)
        ORDER BY role, name LIMIT $4
    )
    UNION ALL
    (
        SELECT 'name', name, id FROM watchword.accounts
        WHERE $8::text = 'disabled' AND disabled AND (disabled, name) >= (true, $1::text)
        ORDER BY disabled, name LIMIT $4
    )
    UNION ALL
    (
        SELECT 'email', email_key, id FROM watchword.accounts
        WHERE $2::text <> '' AND email_key >= $1::text AND email_key < $3::text
        ORDER BY email_key LIMIT $4
    )
), stretch AS MATERIALIZED (
    SELECT min(high) AS high FROM (
        SELECT max(key) AS high FROM walked GROUP BY walk HAVING count(*) = $4
    ) AS cut_off
)
SELECT
    stretch.high, key, id, name, password_hash, roles, created_at, epoch, version,
    disabled, email, email_key, email_confirmed_at, locale
FROM stretch LEFT JOIN LATERAL (
    SELECT
        key, accounts.id, name, password_hash, roles, created_at, epoch, version,
        disabled, email, email_key, email_confirmed_at, locale
    FROM walked JOIN watchword.accounts ON accounts.id = walked.id
    WHERE key <= coalesce(high, $3::text)
        AND (walk = 'name' OR NOT (name >= $2::text AND name < $3::text))
        AND ($5::text = '' OR strpos(' ' || roles || ' ', ' ' || $5::text || ' ') > 0)
        AND ($6::boolean IS NULL OR disabled = $6::boolean)
    ORDER BY key LIMIT $7
) AS found ON true
ORDER BY key;

-- name: invitations
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM watchword.confirmations
WHERE purpose = 'invitation' AND (created_at, token_hash) < ($1::bigint, $2::bytea)
ORDER BY created_at DESC, token_hash DESC LIMIT $3;

-- name: withdraw_invitation
DELETE FROM watchword.confirmations
WHERE token_hash = $1 AND purpose = 'invitation' RETURNING token_hash;

-- name: count_sessions
-- Of a stretch: its last id, unless it is the last one, and how many are live.
SELECT
    (
        SELECT id FROM watchword.sessions WHERE id > $4
        ORDER BY id LIMIT 1 OFFSET $5 - 1
    ),
    count(*) FILTER (WHERE live)
FROM (
    SELECT
        revoked_at IS NULL AND idle_expires_at >= $1 AND expires_at >= $1
        AND rotated_at >= $2 AND authenticated_at >= $3 AS live
    FROM watchword.sessions WHERE id > $4 ORDER BY id LIMIT $5
) AS stretch;

-- name: add_stat
INSERT INTO watchword.stats AS known (minute, name, labels, n)
VALUES ($1, $2, $3, $4)
ON CONFLICT (minute, name, labels) DO UPDATE SET n = known.n + excluded.n;

-- name: raise_stat
INSERT INTO watchword.stats AS known (minute, name, labels, n)
VALUES ($1, $2, $3, $4)
ON CONFLICT (minute, name, labels)
DO UPDATE SET n = greatest(known.n, excluded.n);

-- name: read_stats
SELECT minute, name, labels, n FROM watchword.stats
WHERE minute >= $1 AND minute < $2 ORDER BY minute, name, labels;

-- name: sum_stats
SELECT name, labels, sum(n)::bigint, max(n) FROM watchword.stats
WHERE minute >= $1 AND minute < $2 GROUP BY name, labels ORDER BY name, labels;

-- name: totals
SELECT
    (SELECT count(*) FROM watchword.accounts),
    (SELECT count(*) FROM watchword.accounts WHERE disabled),
    (SELECT count(DISTINCT account_id) FROM watchword.credentials
        WHERE kind IN ('totp', 'passkey'));

-- name: add_webhook
INSERT INTO watchword.webhooks (
    id, url, topics, sealed, created_at, handed_over, allow_private, disabled,
    failing_since, version
)
SELECT $1::bytea, $2::text, $3::text, $4::bytea, $5::bigint, $6::bigint, $7::boolean, $8::boolean, $9::bigint, $10::bigint
WHERE (SELECT count(*) FROM watchword.webhooks) < $11
RETURNING id;

-- name: webhooks
SELECT
    id, url, topics, sealed, created_at, handed_over, allow_private, disabled,
    failing_since, version
FROM watchword.webhooks ORDER BY id;

-- name: swap_webhook
UPDATE watchword.webhooks SET
    url = $1, topics = $2, sealed = $3, allow_private = $4,
    disabled = $5, failing_since = $6, version = $7,
    handed_over = CASE WHEN disabled THEN $8 ELSE handed_over END
WHERE id = $9 AND version = $10
RETURNING id;

-- name: delete_webhook
DELETE FROM watchword.webhooks WHERE id = $1 AND version = $2 RETURNING id;

-- name: drop_waiting_deliveries
DELETE FROM watchword.deliveries WHERE webhook_id = $1 AND state = 'waiting';

-- name: drop_deliveries
DELETE FROM watchword.deliveries WHERE id = ANY (ARRAY(
    SELECT id FROM watchword.deliveries WHERE webhook_id = $1 LIMIT $2
))
RETURNING 1;

-- name: hand_over
UPDATE watchword.webhooks SET handed_over = $1
WHERE id = $2 AND handed_over = $3 AND NOT disabled
RETURNING id;

-- name: add_delivery
INSERT INTO watchword.deliveries (
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: due_deliveries
SELECT id FROM watchword.deliveries
WHERE webhook_id = $1 AND state = 'waiting' AND not_before <= $2
    AND leased_until <= $2
ORDER BY not_before, id LIMIT $3;

-- name: lease_delivery
UPDATE watchword.deliveries SET leased_until = $1
WHERE id = $2 AND state = 'waiting' AND leased_until <= $3
RETURNING
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer;

-- name: settle_delivery
UPDATE watchword.deliveries SET
    not_before = $1, state = $2, attempts = $3, tried_at = $4,
    status = $5, answer = $6, leased_until = 0
WHERE id = $7 AND state = 'waiting';

-- name: hurry
UPDATE watchword.deliveries SET not_before = $2
WHERE webhook_id = $1 AND state = 'waiting' AND not_before > $2
    AND leased_until <= $2
RETURNING id;

-- name: waiting_deliveries
SELECT count(*), min(created_at) FROM watchword.deliveries
WHERE webhook_id = $1 AND state = 'waiting';

-- name: list_deliveries
SELECT
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer
FROM watchword.deliveries
WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: secrets_of_webhooks
SELECT substring(sealed from 1 for $1::integer) AS secret, count(*)
FROM watchword.webhooks GROUP BY secret;

-- name: reseal_webhook
UPDATE watchword.webhooks SET sealed = $1 WHERE id = $2 AND sealed = $3;

-- name: sweep_stats
DELETE FROM watchword.stats WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM watchword.stats
    WHERE minute < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_deliveries
-- Ids begin with the instant at which they were made.
DELETE FROM watchword.deliveries WHERE id = ANY (ARRAY(
    SELECT id FROM watchword.deliveries
    WHERE id < decode(lpad(to_hex(greatest($1::bigint, 0)), 12, '0'), 'hex')
        AND state <> 'waiting'
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING 1;

-- name: sweep_many_deliveries
DELETE FROM watchword.deliveries WHERE id = ANY (ARRAY(
    SELECT one.id
    FROM watchword.webhooks AS webhook
    JOIN watchword.deliveries AS one ON one.webhook_id = webhook.id
    WHERE one.state <> 'waiting' AND one.id <= (
        SELECT id FROM watchword.deliveries WHERE webhook_id = webhook.id
        ORDER BY id DESC LIMIT 1 OFFSET $1
    )
    LIMIT $2 FOR UPDATE OF one SKIP LOCKED
))
RETURNING 1;
