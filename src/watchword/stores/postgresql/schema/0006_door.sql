-- For sign-ins of clients by authorization code.
ALTER TABLE watchword.sessions ADD COLUMN started_from bytea;
ALTER TABLE watchword.clients
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN redirect_uris text NOT NULL DEFAULT '',
    ADD COLUMN post_logout_redirect_uris text NOT NULL DEFAULT '',
    ADD COLUMN id_token_alg text NOT NULL DEFAULT 'RS256',
    ADD COLUMN trusted boolean NOT NULL DEFAULT false,
    ADD COLUMN pkce boolean NOT NULL DEFAULT true,
    ADD COLUMN par boolean NOT NULL DEFAULT false;

-- The keys of every use but access tokens. They are not in `signing_keys`: a program from
-- before this migration takes each row there for a key of access tokens, and writes that
-- table anew.
CREATE TABLE watchword.id_token_keys (
    kid        text   NOT NULL PRIMARY KEY,
    use        text   NOT NULL,
    alg        text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     bytea  NOT NULL,
    changed_at bigint NOT NULL
);

-- Rows go with their account, also where a program from before this migration deletes it.
CREATE TABLE watchword.consents (
    created_at bigint NOT NULL,
    used_at    bigint NOT NULL,
    account_id bytea  NOT NULL REFERENCES watchword.accounts ON DELETE CASCADE,
    client_id  text   COLLATE "C" NOT NULL,
    scope      text   NOT NULL,
    resource   text   NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
