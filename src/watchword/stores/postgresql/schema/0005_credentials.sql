-- What users prove themselves by, besides a password, of all kinds. Users are accounts or
-- an app's own. `until` is null where a row stays. No column that a use of a credential
-- writes is indexed, so it stays on its page (HOT).
CREATE TABLE watchword.credentials (
    created_at bigint NOT NULL,
    used_at    bigint,
    until      bigint,
    step       bigint NOT NULL,
    version    bigint NOT NULL,
    id         bytea  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id bytea  NOT NULL,
    kind       text   COLLATE "C" NOT NULL,
    key        bytea  NOT NULL,
    label      text   NOT NULL,
    sealed     bytea  NOT NULL
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX credentials_key ON watchword.credentials (kind, key)
    WHERE key <> '';
CREATE INDEX credentials_of_account ON watchword.credentials (account_id);
CREATE INDEX credentials_until ON watchword.credentials (until)
    WHERE until IS NOT NULL;
