-- Accounts that serve themselves: their mail address, and what waits for a confirmation.
-- `email_key` is the one spelling of an address, and null where it is not proved. Accounts
-- that there are have no address; a server of an older version may still make some.
ALTER TABLE accounts ADD COLUMN email              TEXT;
ALTER TABLE accounts ADD COLUMN email_key          TEXT;
ALTER TABLE accounts ADD COLUMN email_confirmed_at INTEGER;
ALTER TABLE accounts ADD COLUMN locale             TEXT NOT NULL DEFAULT 'en';

CREATE UNIQUE INDEX accounts_email_key ON accounts (email_key);

CREATE TABLE registrations (
    id_hash       BLOB    NOT NULL PRIMARY KEY,
    token_hash    BLOB    NOT NULL UNIQUE,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    username      TEXT,
    password_hash TEXT    NOT NULL,
    locale        TEXT    NOT NULL,
    network       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    until         INTEGER NOT NULL,
    UNIQUE (email_key, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX registrations_of_network ON registrations (network);
CREATE INDEX registrations_until ON registrations (until);

-- An invitation has no account.
CREATE TABLE confirmations (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    account_id BLOB,
    purpose    TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    email_key  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    roles      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX confirmations_of_account ON confirmations (account_id);
CREATE INDEX confirmations_ways_back ON confirmations (email_key)
    WHERE purpose = 'revert';
CREATE INDEX confirmations_until ON confirmations (until);

-- Names and addresses that an account let go, in one space: a user signs in by both.
CREATE TABLE held (
    key        TEXT    NOT NULL PRIMARY KEY,
    account_id BLOB    NOT NULL,
    until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX held_until ON held (until);

-- In order of id, which is the order of their making.
CREATE TABLE outbox (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind         TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    not_before   INTEGER NOT NULL,
    account_id   BLOB,
    lane         TEXT    NOT NULL,
    network      TEXT    NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_of_lane ON outbox (lane, id);
CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;

-- The instant of the user's latest proof. Null, as a server of an older version leaves
-- it, stands for the sign-in.
ALTER TABLE sessions ADD COLUMN auth_time INTEGER;

-- The sessions of an account that have not ended, however many have: for the limit of
-- live ones.
CREATE INDEX sessions_live_of_account ON sessions (account_id) WHERE revoked_at IS NULL;
