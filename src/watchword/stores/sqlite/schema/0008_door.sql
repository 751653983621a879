-- For sign-ins of clients by authorization code.
ALTER TABLE sessions ADD COLUMN started_from BLOB;
ALTER TABLE clients ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN id_token_alg TEXT NOT NULL DEFAULT 'RS256';
ALTER TABLE clients ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN pkce INTEGER NOT NULL DEFAULT 1;
ALTER TABLE clients ADD COLUMN par INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN use TEXT NOT NULL DEFAULT 'access';

CREATE TABLE consents (
    account_id BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
