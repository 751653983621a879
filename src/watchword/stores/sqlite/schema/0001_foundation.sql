-- One row per session, whatever the number of refreshes. Clustered on the id, which is
-- time-ordered: new rows lie side by side. Instants are milliseconds since the epoch.
CREATE TABLE sessions (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id       BLOB    NOT NULL,
    client_id        TEXT    NOT NULL,
    secret_hash      BLOB    NOT NULL,
    retry_hash       BLOB    NOT NULL,
    generation       INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    rotated_at       INTEGER NOT NULL,
    idle_expires_at  INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    access_ttl       INTEGER NOT NULL,
    grace            INTEGER NOT NULL,
    hold_off         INTEGER NOT NULL,
    roles            TEXT    NOT NULL,
    address          TEXT    NOT NULL,
    user_agent       TEXT    NOT NULL,
    revoked_at       INTEGER,
    revoked_reason   TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_account ON sessions (account_id);

-- The revocation feed. AUTOINCREMENT: a sequence number is never given twice, so that a
-- cursor stays true after a sweep emptied the table.
CREATE TABLE ended (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    until      INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name          TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    roles         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    disabled      INTEGER NOT NULL
) STRICT;

CREATE TABLE throttle (
    key       TEXT    NOT NULL PRIMARY KEY,
    runs_down INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    type       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    account_id BLOB,
    session_id BLOB,
    client_id  TEXT,
    address    TEXT    NOT NULL,
    detail     TEXT    NOT NULL
) STRICT;

-- One row: which life of the store this is, and the revision of the key ring.
CREATE TABLE store (
    only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation  BLOB    NOT NULL,
    key_revision INTEGER NOT NULL
) STRICT;

INSERT INTO store (only_row, incarnation, key_revision) VALUES (1, randomblob(8), 0);
