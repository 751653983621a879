-- What users prove themselves by, besides a password, of all kinds. Users are accounts or
-- an app's own. `until` is null where a row stays.
CREATE TABLE credentials (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id BLOB    NOT NULL,
    kind       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    label      TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    used_at    INTEGER,
    until      INTEGER,
    step       INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX credentials_key ON credentials (kind, key) WHERE key <> x'';
CREATE INDEX credentials_of_account ON credentials (account_id);
CREATE INDEX credentials_until ON credentials (until) WHERE until IS NOT NULL;
