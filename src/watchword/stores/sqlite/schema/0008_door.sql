-- For sign-ins of clients by authorization code.
ALTER TABLE sessions ADD COLUMN started_from BLOB;
ALTER TABLE clients ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN post_logout_redirect_uris TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN id_token_alg TEXT NOT NULL DEFAULT 'RS256';
ALTER TABLE clients ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN pkce INTEGER NOT NULL DEFAULT 1;
ALTER TABLE clients ADD COLUMN par INTEGER NOT NULL DEFAULT 0;

-- The keys of every use but access tokens. They are not in `signing_keys`: a program from
-- before this migration takes each row there for a key of access tokens, and writes that
-- table anew.
CREATE TABLE id_token_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    use        TEXT    NOT NULL,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE consents (
    account_id BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;

-- Also where a program from before this migration deletes the account. A foreign key
-- would need a pragma on its connection.
CREATE TRIGGER consents_go_with_their_account AFTER DELETE ON accounts BEGIN
    DELETE FROM consents WHERE account_id = OLD.id;
END;
