-- Every statement of the SQLite store, by name. Columns are named everywhere, so that
-- code before and after a migration can run side by side.

-- name: has_migrations
SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations';

-- name: applied_migrations
SELECT number, checksum FROM schema_migrations ORDER BY number;

-- name: create_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
    number   INTEGER NOT NULL PRIMARY KEY,
    checksum TEXT    NOT NULL
) STRICT;

-- name: migrated
INSERT INTO schema_migrations (number, checksum) VALUES (?, ?);

-- name: create_session
INSERT INTO sessions (
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, auth_time, started_from
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
)
ON CONFLICT (id) DO NOTHING;

-- name: load_session
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM sessions WHERE id = ?;

-- name: swap_session
-- Names no column of an index: a rotation would write the index too.
UPDATE sessions SET
    generation = ?3, version = ?4, retry_hash = ?5, rotated_at = ?6,
    idle_expires_at = ?7, address = ?8
WHERE id = ?1 AND version = ?2;

-- name: swap_whole_session
UPDATE sessions SET
    generation = ?3, version = ?4, retry_hash = ?5, rotated_at = ?6,
    idle_expires_at = ?7, address = ?8, revoked_at = ?9, revoked_reason = ?10,
    auth_time = ?11, amr = ?12, acr = ?13
WHERE id = ?1 AND version = ?2;

-- name: stretch
-- The rows that one page of a list looks at: the last id, and how many there are.
SELECT min(id), count(*) FROM (
    SELECT id FROM sessions WHERE id < ? ORDER BY id DESC LIMIT ?
) HAVING count(*) > 0;

-- name: stretch_of_account
SELECT min(id), count(*) FROM (
    SELECT id FROM sessions WHERE id < ? AND account_id = ? ORDER BY id DESC LIMIT ?
) HAVING count(*) > 0;

-- name: list_sessions
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM sessions
WHERE id < ?1 AND id >= ?2 AND revoked_at IS NULL
    AND idle_expires_at >= ?4 AND expires_at >= ?4
    AND rotated_at >= ?5 AND authenticated_at >= ?6
    AND (?7 IS NULL OR client_id = ?7)
ORDER BY id DESC LIMIT ?3;

-- name: list_sessions_of_account
SELECT
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason, scope, audience,
    jkt, amr, acr, cookie, coalesce(auth_time, authenticated_at),
    started_from
FROM sessions
WHERE account_id = ?8 AND id < ?1 AND id >= ?2 AND revoked_at IS NULL
    AND idle_expires_at >= ?4 AND expires_at >= ?4
    AND rotated_at >= ?5 AND authenticated_at >= ?6
    AND (?7 IS NULL OR client_id = ?7)
ORDER BY id DESC LIMIT ?3;

-- name: end_one
UPDATE sessions SET revoked_at = ?1, revoked_reason = ?2, version = version + 1
WHERE id = ?3 AND revoked_at IS NULL
RETURNING id, account_id, rotated_at, access_ttl;

-- name: too_many_of_account
-- The live sessions of all groups but those that were refreshed latest.
WITH live AS MATERIALIZED (
    SELECT id, coalesce(started_from, id) AS root, rotated_at FROM sessions
    WHERE account_id = ?1 AND revoked_at IS NULL
        AND coalesce(started_from, id) NOT IN (?2, ?3)
        AND idle_expires_at >= ?4 AND expires_at >= ?4
        AND rotated_at >= ?5 AND authenticated_at >= ?6
)
SELECT id FROM live WHERE root IN (
    SELECT root FROM live
    GROUP BY root ORDER BY max(rotated_at) DESC, root DESC LIMIT -1 OFFSET ?7
);

-- name: find_of_account
-- Each `find` looks at a stretch of rows and returns the ids that match, and also the
-- last id of the stretch, from which the caller goes on. This runs on the connection of
-- the reading thread, so that the writer gets only the ids to write.
WITH stretch AS MATERIALIZED (
    SELECT
        id, coalesce(started_from, id) IS NOT ?2 AND revoked_at IS NULL AS meant
    FROM sessions WHERE account_id = ?1 AND id > ?3 ORDER BY id LIMIT ?4
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT max(id) FROM stretch) ORDER BY id LIMIT ?5;

-- name: find_signed_in_before
WITH stretch AS MATERIALIZED (
    SELECT id, authenticated_at < ?1 AND revoked_at IS NULL AS meant
    FROM sessions WHERE id > ?2 ORDER BY id LIMIT ?3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT max(id) FROM stretch) ORDER BY id LIMIT ?4;

-- name: find_of_client
WITH stretch AS MATERIALIZED (
    SELECT id, client_id = ?1 AND revoked_at IS NULL AS meant
    FROM sessions WHERE id > ?2 ORDER BY id LIMIT ?3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT max(id) FROM stretch) ORDER BY id LIMIT ?4;

-- name: find_over
WITH stretch AS MATERIALIZED (
    SELECT id, idle_expires_at < ?1 AS meant
    FROM sessions WHERE id > ?2 ORDER BY id LIMIT ?3
)
SELECT id, meant FROM stretch
WHERE meant OR id = (SELECT max(id) FROM stretch) ORDER BY id LIMIT ?4;

-- name: assign_roles
UPDATE sessions SET roles = ?2, version = version + 1
WHERE id = ?1 AND revoked_at IS NULL;

-- name: feed_entry
INSERT INTO ended (session_id, at, until) VALUES (?, ?, ?);

-- name: feed
SELECT sequence, session_id, at, until FROM ended WHERE sequence > ?
ORDER BY sequence LIMIT ?;

-- name: feed_end
SELECT
    store.incarnation,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'ended'), 0)
FROM store;

-- name: sweep_session
DELETE FROM sessions WHERE id = ? AND idle_expires_at < ?;

-- name: sweep_feed
-- Looks only among the oldest: entries expire roughly in the order in which they
-- were written.
DELETE FROM ended WHERE sequence IN (
    SELECT sequence FROM (SELECT sequence, until FROM ended ORDER BY sequence LIMIT ?3)
    WHERE until <= ?1 LIMIT ?2
);

-- name: sweep_throttle
DELETE FROM throttle WHERE key IN (
    SELECT key FROM throttle WHERE runs_down <= ? LIMIT ?
);

-- name: sweep_used_once
DELETE FROM used_once WHERE key IN (
    SELECT key FROM used_once WHERE until <= ? LIMIT ?
);

-- name: sweep_audit
DELETE FROM audit WHERE sequence IN (
    SELECT sequence FROM (SELECT sequence, at FROM audit ORDER BY sequence LIMIT ?2)
    WHERE at < ?1
);

-- name: sweep_registrations
DELETE FROM registrations WHERE id_hash IN (
    SELECT id_hash FROM registrations WHERE until <= ? LIMIT ?
);

-- name: sweep_confirmations
DELETE FROM confirmations WHERE token_hash IN (
    SELECT token_hash FROM confirmations WHERE until <= ? LIMIT ?
);

-- name: sweep_credentials
DELETE FROM credentials WHERE id IN (
    SELECT id FROM credentials WHERE until <= ? LIMIT ?
);

-- name: sweep_held
DELETE FROM held WHERE key IN (
    SELECT key FROM held WHERE until <= ? LIMIT ?
);

-- name: add_account
INSERT INTO accounts (
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: accounts_like
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM accounts
WHERE id = ?1 OR name IN (?2, ?3) OR email_key IN (?2, ?3);

-- name: account_by_name
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM accounts WHERE name = ?1;

-- name: account_by_id
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM accounts WHERE id = ?1;

-- name: account_by_email
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM accounts WHERE email_key = ?1;

-- name: list_accounts
SELECT
    id, name, password_hash, roles, created_at, epoch, version, disabled, email,
    email_key, email_confirmed_at, locale
FROM accounts WHERE name > ?1 ORDER BY name LIMIT ?2;

-- name: lock_enabled_of_role
SELECT id FROM accounts
WHERE disabled = 0 AND id IN (SELECT account_id FROM account_roles WHERE role = ?);

-- name: swap_account
UPDATE accounts SET
    name = ?1, password_hash = ?2, roles = ?3, epoch = ?4, version = ?5,
    disabled = ?6, email = ?7, email_key = ?8, email_confirmed_at = ?9,
    locale = ?10
WHERE id = ?11 AND version = ?12
RETURNING id;

-- name: delete_account
DELETE FROM accounts WHERE id = ?1 AND version = ?2 RETURNING id;

-- name: holds
SELECT key, account_id, until, 0 FROM held WHERE key IN (?1, ?2)
UNION ALL
SELECT email_key, account_id, until, 1 FROM confirmations
WHERE purpose = 'revert' AND email_key IN (?1, ?2);

-- name: hold
INSERT INTO held (key, account_id, until) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    account_id = excluded.account_id, until = excluded.until;

-- name: end_hold
DELETE FROM held WHERE key = ?1;

-- name: lock_address
-- There is one writer at a time: nothing has to be locked.
SELECT ?1 LIMIT 0;

-- name: put_registration
INSERT OR REPLACE INTO registrations (
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: neighbours
SELECT
    id_hash, created_at, network,
    (SELECT count(*) FROM registrations AS its WHERE its.network = one.network)
FROM registrations AS one WHERE email_key = ?1 AND network <> ?2;

-- name: drop_registration
DELETE FROM registrations WHERE id_hash = ?1;

-- name: registration_by_id
SELECT
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
FROM registrations WHERE id_hash = ?1;

-- name: registration_by_token
SELECT
    id_hash, token_hash, email, email_key, username, password_hash, locale, network,
    created_at, until
FROM registrations WHERE token_hash = ?1;

-- name: renew_registration
UPDATE registrations SET token_hash = ?1 WHERE id_hash = ?2
RETURNING id_hash;

-- name: spend_registrations
DELETE FROM registrations WHERE email_key = (
    SELECT email_key FROM registrations WHERE token_hash = ?
)
RETURNING token_hash;

-- name: lock_account
SELECT id FROM accounts WHERE id = ?;

-- name: add_confirmation
INSERT INTO confirmations (
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (token_hash) DO NOTHING;

-- name: confirmation_by_token
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM confirmations WHERE token_hash = ?1;

-- name: confirmations_of_account
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM confirmations WHERE account_id = ?1 ORDER BY created_at, token_hash;

-- name: spend_confirmation
DELETE FROM confirmations
WHERE token_hash = ?1 AND (account_id = ?2 OR account_id IS NULL)
RETURNING
    token_hash, account_id, purpose, email, email_key, created_at, until, roles;

-- name: drop_confirmation
DELETE FROM confirmations WHERE token_hash = ?1;

-- name: drop_confirmations_of_account
DELETE FROM confirmations WHERE account_id = ?1;

-- name: read_committed
-- A writer sees all that was committed before it.
SELECT 1 LIMIT 0;

-- name: lock_credentials_of_account
-- There is one writer at a time: nothing has to be locked.
SELECT ?1 LIMIT 0;

-- name: add_credential
INSERT INTO credentials (
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);

-- name: credentials_like
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM credentials
WHERE id = ?1 OR (kind = ?2 AND key = ?3 AND key <> x'');

-- name: credential_by_key
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM credentials WHERE kind = ?1 AND key = ?2 AND key <> x'';

-- name: credentials_of_account
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM credentials WHERE account_id = ?1 ORDER BY created_at, id;

-- name: swap_credential
UPDATE credentials SET
    label = ?1, sealed = ?2, used_at = ?3, step = ?4, version = ?5
WHERE id = ?6 AND version = ?7
RETURNING id;

-- name: delete_credential
DELETE FROM credentials WHERE id = ?1 AND version = ?2 RETURNING id;

-- name: drop_credential
DELETE FROM credentials WHERE id = ?1;

-- name: drop_credentials_of_account
DELETE FROM credentials WHERE account_id = ?1;

-- name: secrets_of_credentials
SELECT substr(sealed, 1, ?1) AS secret, count(*)
FROM credentials WHERE sealed <> x'' GROUP BY secret;

-- name: sealed_credentials
SELECT
    id, account_id, kind, created_at, key, label, sealed, used_at, until, step, version
FROM credentials WHERE sealed <> x'' AND id > ?1 ORDER BY id LIMIT ?2;

-- name: reseal_credential
UPDATE credentials SET sealed = ?1, version = version + 1
WHERE id = ?2 AND sealed = ?3;

-- name: add_message
INSERT INTO outbox (
    id, kind, sealed, not_before, account_id, lane, network
) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING;

-- name: waiting_messages
SELECT network, count(*), max(id) FROM outbox WHERE lane = ?1 GROUP BY network;

-- name: due_messages
-- Confirmed ones come first.
SELECT id, lane, network FROM outbox
WHERE kind = ?1 AND not_before <= ?2 AND leased_until <= ?2
ORDER BY lane, id LIMIT ?3;

-- name: lease_message
UPDATE outbox SET leased_until = ?1
WHERE id = ?2 AND leased_until <= ?3 AND not_before <= ?3
RETURNING
    id, kind, sealed, not_before, account_id, lane, network, attempts;

-- name: postpone_message
UPDATE outbox SET not_before = ?1, attempts = ?2, leased_until = 0
WHERE id = ?3;

-- name: drop_message
DELETE FROM outbox WHERE id = ?1;

-- name: drop_messages_of_account
DELETE FROM outbox WHERE account_id = ?1;

-- name: list_messages
SELECT
    id, kind, sealed, not_before, account_id, lane, network, attempts
FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2;

-- name: secrets_of_outbox
SELECT substr(sealed, 1, ?1) AS secret, count(*) FROM outbox GROUP BY secret;

-- name: reseal_message
UPDATE outbox SET sealed = ?1 WHERE id = ?2;

-- name: add_client
INSERT INTO clients (
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: load_client
SELECT
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
FROM clients WHERE id = ?;

-- name: list_clients
SELECT
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    checks_dpop, grace, disabled, version, name, redirect_uris,
    post_logout_redirect_uris, id_token_alg, trusted, pkce, par
FROM clients WHERE id > ? ORDER BY id LIMIT ?;

-- name: swap_client
UPDATE clients SET
    secret_hash = ?, scope = ?, audience = ?, access_ttl = ?, grants = ?, rights = ?,
    dpop = ?, checks_dpop = ?, grace = ?, disabled = ?, version = ?,
    name = ?, redirect_uris = ?, post_logout_redirect_uris = ?, id_token_alg = ?,
    trusted = ?, pkce = ?, par = ?
WHERE id = ? AND version = ?
RETURNING id;

-- name: use_once
INSERT INTO used_once (key, until) VALUES (?, ?)
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: throttle_read
SELECT runs_down FROM throttle WHERE key = ?;

-- name: throttle_write
INSERT INTO throttle (key, runs_down) VALUES (?, ?)
ON CONFLICT (key) DO UPDATE SET runs_down = excluded.runs_down;

-- name: throttle_forget
DELETE FROM throttle WHERE key = ?;

-- name: keys
SELECT
    store.key_revision, keys.kid, keys.alg, keys.state, keys.sealed, keys.changed_at,
    keys.use
FROM store LEFT JOIN (
    SELECT kid, alg, state, sealed, changed_at, 'access' AS use FROM signing_keys
    UNION ALL
    SELECT kid, alg, state, sealed, changed_at, use FROM id_token_keys
) AS keys ON true
ORDER BY keys.changed_at, keys.kid;

-- name: raise_key_revision
UPDATE store SET key_revision = key_revision + 1 WHERE key_revision = ?
RETURNING key_revision;

-- name: drop_keys
DELETE FROM signing_keys;

-- name: drop_id_token_keys
DELETE FROM id_token_keys;

-- name: add_key
INSERT INTO signing_keys (kid, alg, state, sealed, changed_at)
VALUES (?, ?, ?, ?, ?);

-- name: add_id_token_key
INSERT INTO id_token_keys (kid, alg, state, sealed, changed_at, use)
VALUES (?, ?, ?, ?, ?, ?);

-- name: record
INSERT INTO audit (type, at, account_id, session_id, client_id, address, detail)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: adopt
INSERT INTO audit (type, at, account_id, session_id, client_id, address, detail, place)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (place) WHERE place IS NOT NULL DO NOTHING;

-- name: read_events
SELECT sequence, type, at, account_id, session_id, client_id, address, detail
FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?;

-- name: last_event
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0);

-- name: check
SELECT only_row FROM store;

-- name: put_consent
INSERT INTO consents (account_id, client_id, scope, resource, created_at, used_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?1)
ON CONFLICT (account_id, client_id) DO UPDATE SET
    scope = excluded.scope, resource = excluded.resource,
    created_at = excluded.created_at, used_at = excluded.used_at
RETURNING client_id;

-- name: load_consent
SELECT account_id, client_id, scope, resource, created_at, used_at
FROM consents WHERE account_id = ?1 AND client_id = ?2;

-- name: consents_of_account
SELECT account_id, client_id, scope, resource, created_at, used_at
FROM consents WHERE account_id = ?1 ORDER BY client_id;

-- name: use_consent
UPDATE consents SET used_at = ?3
WHERE account_id = ?1 AND client_id = ?2 AND used_at < ?3
RETURNING client_id;

-- name: drop_consent
DELETE FROM consents WHERE account_id = ?1 AND client_id = ?2
RETURNING client_id;

-- name: event_before
-- The number of an event that was recorded before that instant, the latest that halving
-- the log finds; one less than the first number where it finds none.
WITH RECURSIVE halves (low, high) AS (
    SELECT
        coalesce((SELECT min(sequence) FROM audit), 1) - 1,
        coalesce((SELECT max(sequence) FROM audit), 0)
    UNION ALL
    SELECT
        CASE WHEN event.at < ?1 THEN (low + high + 1) / 2 ELSE low END,
        CASE WHEN event.at < ?1 THEN high ELSE (low + high + 1) / 2 - 1 END
    FROM halves JOIN audit AS event ON event.sequence = (
        SELECT sequence FROM audit WHERE sequence <= (low + high + 1) / 2
        ORDER BY sequence DESC LIMIT 1
    )
    WHERE low < high
)
SELECT low FROM halves WHERE low = high;

-- name: search_events
-- ?1 says which index is walked, from ?2 down to ?3. Of several types each is a walk. One
-- goes ?4 rows far; where that is not to its end, all end there: at `stretch.low`.
WITH asked (type) AS MATERIALIZED (SELECT value FROM json_each(?8)),
stretch (low) AS MATERIALIZED (
    SELECT max(sequence) FROM (
        SELECT (
            SELECT sequence FROM audit INDEXED BY audit_by_session
            WHERE ?1 = 'session_id' AND session_id = ?5 AND sequence >= ?3
                AND sequence < ?2
            ORDER BY sequence DESC LIMIT 1 OFFSET ?4 - 1
        ) AS sequence
        UNION ALL
        SELECT (
            SELECT sequence FROM audit INDEXED BY audit_by_account
            WHERE ?1 = 'account_id' AND account_id = ?6 AND sequence >= ?3
                AND sequence < ?2
            ORDER BY sequence DESC LIMIT 1 OFFSET ?4 - 1
        )
        UNION ALL
        SELECT (
            SELECT sequence FROM audit INDEXED BY audit_by_address
            WHERE ?1 = 'address' AND address = ?7 AND address <> ''
                AND sequence >= ?3 AND sequence < ?2
            ORDER BY sequence DESC LIMIT 1 OFFSET ?4 - 1
        )
        UNION ALL
        SELECT (
            SELECT sequence FROM audit INDEXED BY audit_by_type
            WHERE ?1 = 'types' AND type = asked.type AND sequence >= ?3
                AND sequence < ?2
            ORDER BY sequence DESC LIMIT 1 OFFSET ?4 - 1
        ) FROM asked
        UNION ALL
        SELECT (
            SELECT sequence FROM audit
            WHERE ?1 = '' AND sequence >= ?3 AND sequence < ?2
            ORDER BY sequence DESC LIMIT 1 OFFSET ?4 - 1
        )
    )
),
walked (sequence) AS MATERIALIZED (
    SELECT sequence FROM audit INDEXED BY audit_by_session
    WHERE ?1 = 'session_id' AND session_id = ?5 AND sequence < ?2
        AND sequence >= (SELECT coalesce(low, ?3) FROM stretch)
    UNION ALL
    SELECT sequence FROM audit INDEXED BY audit_by_account
    WHERE ?1 = 'account_id' AND account_id = ?6 AND sequence < ?2
        AND sequence >= (SELECT coalesce(low, ?3) FROM stretch)
    UNION ALL
    SELECT sequence FROM audit INDEXED BY audit_by_address
    WHERE ?1 = 'address' AND address = ?7 AND address <> '' AND sequence < ?2
        AND sequence >= (SELECT coalesce(low, ?3) FROM stretch)
    UNION ALL
    SELECT sequence FROM asked CROSS JOIN audit INDEXED BY audit_by_type
    WHERE ?1 = 'types' AND audit.type = asked.type AND sequence < ?2
        AND sequence >= (SELECT coalesce(low, ?3) FROM stretch)
    UNION ALL
    SELECT sequence FROM audit
    WHERE ?1 = '' AND sequence < ?2
        AND sequence >= (SELECT coalesce(low, ?3) FROM stretch)
)
SELECT
    stretch.low, sequence, type, at, account_id, session_id, client_id, address, detail
FROM stretch LEFT JOIN (
    SELECT audit.sequence, type, at, account_id, session_id, client_id, address, detail
    FROM walked CROSS JOIN audit ON audit.sequence = walked.sequence
    WHERE (?5 IS NULL OR session_id = ?5) AND (?6 IS NULL OR account_id = ?6)
        AND (?7 = '' OR address = ?7)
        AND (?8 IS NULL OR type IN (SELECT asked.type FROM asked))
        AND at >= ?9 AND at < ?10
    ORDER BY audit.sequence DESC LIMIT ?11
) ON true
ORDER BY sequence DESC;

-- name: search_accounts
-- ?8 says by what: by name, those of a role, or those that are disabled. With a prefix
-- (?2) also by address, for names that do not begin so. From ?1 up to ?3. A walk goes ?4
-- rows far; where that is not to its end, all end there: at `stretch.high`.
WITH stretch (high) AS MATERIALIZED (
    SELECT min(key) FROM (
        SELECT (
            SELECT name FROM accounts WHERE ?8 = 'name' AND name >= ?1 AND name < ?3
            ORDER BY name LIMIT 1 OFFSET ?4 - 1
        ) AS key
        UNION ALL
        SELECT (
            SELECT name FROM account_roles
            WHERE ?8 = 'role' AND role = ?5 AND name >= ?1
            ORDER BY name LIMIT 1 OFFSET ?4 - 1
        )
        UNION ALL
        SELECT (
            SELECT name FROM accounts INDEXED BY accounts_disabled
            WHERE ?8 = 'disabled' AND disabled = 1 AND name >= ?1
            ORDER BY name LIMIT 1 OFFSET ?4 - 1
        )
        UNION ALL
        SELECT (
            SELECT email_key FROM accounts
            WHERE ?2 <> '' AND email_key >= ?1 AND email_key < ?3
            ORDER BY email_key LIMIT 1 OFFSET ?4 - 1
        )
    )
),
walked (key, is_name, place) AS MATERIALIZED (
    SELECT name, 1, rowid FROM accounts
    WHERE ?8 = 'name' AND name >= ?1
        AND name <= (SELECT coalesce(high, ?3) FROM stretch)
    UNION ALL
    SELECT account_roles.name, 1, accounts.rowid
    FROM account_roles CROSS JOIN accounts ON accounts.id = account_roles.account_id
    WHERE ?8 = 'role' AND role = ?5 AND account_roles.name >= ?1
        AND account_roles.name <= (SELECT coalesce(high, ?3) FROM stretch)
    UNION ALL
    SELECT name, 1, rowid FROM accounts INDEXED BY accounts_disabled
    WHERE ?8 = 'disabled' AND disabled = 1 AND name >= ?1
        AND name <= (SELECT coalesce(high, ?3) FROM stretch)
    UNION ALL
    SELECT email_key, 0, rowid FROM accounts
    WHERE ?2 <> '' AND email_key >= ?1
        AND email_key <= (SELECT coalesce(high, ?3) FROM stretch)
)
SELECT
    stretch.high, key, id, name, password_hash, roles, created_at, epoch, version,
    disabled, email, email_key, email_confirmed_at, locale
FROM stretch LEFT JOIN (
    SELECT
        key, id, name, password_hash, roles, created_at, epoch, version, disabled,
        email, email_key, email_confirmed_at, locale
    FROM walked CROSS JOIN accounts ON accounts.rowid = walked.place
    WHERE (is_name OR NOT (name >= ?2 AND name < ?3))
        AND (?5 = '' OR instr(' ' || roles || ' ', ' ' || ?5 || ' ') > 0)
        AND (?6 IS NULL OR disabled = ?6)
    ORDER BY key LIMIT ?7
) ON true
ORDER BY key;

-- name: invitations
SELECT
    token_hash, account_id, purpose, email, email_key, created_at, until, roles
FROM confirmations
WHERE purpose = 'invitation' AND (created_at, token_hash) < (?1, ?2)
ORDER BY created_at DESC, token_hash DESC LIMIT ?3;

-- name: withdraw_invitation
DELETE FROM confirmations
WHERE token_hash = ?1 AND purpose = 'invitation' RETURNING token_hash;

-- name: count_sessions
-- Of a stretch: its last id, unless it is the last one, and how many are live.
SELECT
    (
        SELECT id FROM sessions WHERE id > ?4
        ORDER BY id LIMIT 1 OFFSET ?5 - 1
    ),
    count(*) FILTER (WHERE live)
FROM (
    SELECT
        revoked_at IS NULL AND idle_expires_at >= ?1 AND expires_at >= ?1
        AND rotated_at >= ?2 AND authenticated_at >= ?3 AS live
    FROM sessions WHERE id > ?4 ORDER BY id LIMIT ?5
) AS stretch;

-- name: add_stat
INSERT INTO stats AS known (minute, name, labels, n)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (minute, name, labels) DO UPDATE SET n = known.n + excluded.n;

-- name: raise_stat
INSERT INTO stats AS known (minute, name, labels, n)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (minute, name, labels)
DO UPDATE SET n = max(known.n, excluded.n);

-- name: read_stats
SELECT minute, name, labels, n FROM stats
WHERE minute >= ?1 AND minute < ?2 ORDER BY minute, name, labels;

-- name: sum_stats
SELECT name, labels, sum(n), max(n) FROM stats
WHERE minute >= ?1 AND minute < ?2 GROUP BY name, labels ORDER BY name, labels;

-- name: totals
SELECT
    (SELECT count(*) FROM accounts),
    (SELECT count(*) FROM accounts WHERE disabled = 1),
    (SELECT count(DISTINCT account_id) FROM credentials
        WHERE kind IN ('totp', 'passkey'));

-- name: add_webhook
INSERT INTO webhooks (
    id, url, topics, sealed, created_at, handed_over, allow_private, disabled,
    failing_since, version
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
WHERE (SELECT count(*) FROM webhooks) < ?11
RETURNING id;

-- name: webhooks
SELECT
    id, url, topics, sealed, created_at, handed_over, allow_private, disabled,
    failing_since, version
FROM webhooks ORDER BY id;

-- name: swap_webhook
UPDATE webhooks SET
    url = ?1, topics = ?2, sealed = ?3, allow_private = ?4,
    disabled = ?5, failing_since = ?6, version = ?7,
    handed_over = CASE WHEN disabled = 1 THEN ?8 ELSE handed_over END
WHERE id = ?9 AND version = ?10
RETURNING id;

-- name: delete_webhook
DELETE FROM webhooks WHERE id = ?1 AND version = ?2 RETURNING id;

-- name: drop_waiting_deliveries
DELETE FROM deliveries WHERE webhook_id = ?1 AND state = 'waiting';

-- name: drop_deliveries
-- Of a webhook that is gone, in steps: the one writer has other work meanwhile.
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries WHERE webhook_id = ?1 LIMIT ?2
)
RETURNING 1;

-- name: hand_over
UPDATE webhooks SET handed_over = ?1
WHERE id = ?2 AND handed_over = ?3 AND disabled = 0
RETURNING id;

-- name: add_delivery
INSERT INTO deliveries (
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);

-- name: due_deliveries
SELECT id FROM deliveries
WHERE webhook_id = ?1 AND state = 'waiting' AND not_before <= ?2
    AND leased_until <= ?2
ORDER BY not_before, id LIMIT ?3;

-- name: lease_delivery
UPDATE deliveries SET leased_until = ?1
WHERE id = ?2 AND state = 'waiting' AND leased_until <= ?3
RETURNING
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer;

-- name: settle_delivery
UPDATE deliveries SET
    not_before = ?1, state = ?2, attempts = ?3, tried_at = ?4,
    status = ?5, answer = ?6, leased_until = 0
WHERE id = ?7 AND state = 'waiting';

-- name: hurry
UPDATE deliveries SET not_before = ?2
WHERE webhook_id = ?1 AND state = 'waiting' AND not_before > ?2
    AND leased_until <= ?2
RETURNING id;

-- name: waiting_deliveries
SELECT count(*), min(created_at) FROM deliveries
WHERE webhook_id = ?1 AND state = 'waiting';

-- name: list_deliveries
SELECT
    id, webhook_id, topic, body, created_at, not_before, state, attempts, tried_at,
    status, answer
FROM deliveries
WHERE webhook_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3;

-- name: secrets_of_webhooks
SELECT substr(sealed, 1, ?1) AS secret, count(*)
FROM webhooks GROUP BY secret;

-- name: reseal_webhook
UPDATE webhooks SET sealed = ?1 WHERE id = ?2 AND sealed = ?3;

-- name: sweep_stats
DELETE FROM stats WHERE (minute, name, labels) IN (
    SELECT minute, name, labels FROM stats WHERE minute < ? LIMIT ?
);

-- name: find_old_deliveries
-- Ids begin with the instant at which they were made.
SELECT id FROM deliveries
WHERE id < unhex(printf('%012x', max(?1, 0))) AND state <> 'waiting'
ORDER BY id LIMIT ?2;

-- name: find_many_deliveries
SELECT one.id FROM webhooks JOIN deliveries AS one ON one.webhook_id = webhooks.id
WHERE one.state <> 'waiting' AND one.id <= (
    SELECT id FROM deliveries WHERE webhook_id = webhooks.id
    ORDER BY id DESC LIMIT 1 OFFSET ?1
)
LIMIT ?2;

-- name: sweep_delivery
DELETE FROM deliveries WHERE id = ?1 AND state <> 'waiting';
