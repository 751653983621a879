-- For operators: lists of events and accounts, figures for charts, webhooks. No refresh
-- writes any of these indexes: a rotation changes none of their columns and records no
-- event.
CREATE INDEX IF NOT EXISTS audit_by_type ON watchword.audit (type, sequence);
CREATE INDEX IF NOT EXISTS audit_by_account ON watchword.audit (account_id, sequence)
    WHERE account_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_by_session ON watchword.audit (session_id, sequence)
    WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_by_address ON watchword.audit (address, sequence)
    WHERE address <> '';

CREATE INDEX accounts_disabled ON watchword.accounts (name) WHERE disabled;
CREATE INDEX credentials_factors ON watchword.credentials (account_id)
    WHERE kind IN ('totp', 'passkey');
CREATE INDEX confirmations_invitations
    ON watchword.confirmations (created_at, token_hash) WHERE purpose = 'invitation';

CREATE TABLE watchword.stats (
    minute bigint NOT NULL,
    n      bigint NOT NULL,
    name   text   COLLATE "C" NOT NULL,
    labels text   COLLATE "C" NOT NULL,
    PRIMARY KEY (minute, name, labels)
);

CREATE TABLE watchword.webhooks (
    created_at    bigint  NOT NULL,
    handed_over   bigint  NOT NULL,
    failing_since bigint,
    version       bigint  NOT NULL,
    allow_private boolean NOT NULL,
    disabled      boolean NOT NULL,
    id            bytea   NOT NULL PRIMARY KEY,
    url           text    NOT NULL,
    topics        text    NOT NULL,
    sealed        bytea   NOT NULL
);

CREATE TABLE watchword.deliveries (
    created_at   bigint  NOT NULL,
    not_before   bigint  NOT NULL,
    tried_at     bigint,
    leased_until bigint  NOT NULL DEFAULT 0,
    attempts     integer NOT NULL,
    status       integer,
    id           bytea   NOT NULL PRIMARY KEY,
    webhook_id   bytea   NOT NULL
        REFERENCES watchword.webhooks ON DELETE CASCADE,
    topic        text    NOT NULL,
    body         text    NOT NULL,
    state        text    NOT NULL,
    answer       text    NOT NULL
);

CREATE INDEX deliveries_of_webhook ON watchword.deliveries (webhook_id, id);
CREATE INDEX deliveries_due ON watchword.deliveries (webhook_id, not_before, id)
    WHERE state = 'waiting';
