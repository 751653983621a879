-- What a sign-in asked for and how it was made. The defaults are what every session had
-- until now: one factor, the password, and a token in the body. Lists are separated by
-- spaces, which no scope, audience or method has in it.
ALTER TABLE sessions ADD COLUMN scope    TEXT    NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN audience TEXT    NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN jkt      TEXT;
ALTER TABLE sessions ADD COLUMN amr      TEXT    NOT NULL DEFAULT 'pwd';
ALTER TABLE sessions ADD COLUMN acr      TEXT    NOT NULL DEFAULT 'aal1';
ALTER TABLE sessions ADD COLUMN cookie   INTEGER NOT NULL DEFAULT 0;

CREATE TABLE clients (
    id          TEXT    NOT NULL PRIMARY KEY,
    secret_hash BLOB,
    created_at  INTEGER NOT NULL,
    scope       TEXT    NOT NULL,
    audience    TEXT    NOT NULL,
    access_ttl  INTEGER,
    grants      TEXT    NOT NULL,
    rights      TEXT    NOT NULL,
    dpop        INTEGER NOT NULL,
    disabled    INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE used_once (
    key   BLOB    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One entry for each DPoP request: a busy server has hundreds of thousands, and a sweep
-- that had to look at all of them would hold up the writer. New ones go to its end.
CREATE INDEX used_once_until ON used_once (until);
