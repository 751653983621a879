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
ALTER TABLE watchword.signing_keys ADD COLUMN use text NOT NULL DEFAULT 'access';

CREATE TABLE watchword.consents (
    created_at bigint NOT NULL,
    used_at    bigint NOT NULL,
    account_id bytea  NOT NULL,
    client_id  text   COLLATE "C" NOT NULL,
    scope      text   NOT NULL,
    resource   text   NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
