-- For operators: lists of events, figures for charts, webhooks. No refresh writes any of
-- these indexes: a rotation changes none of their columns and records no event.
CREATE INDEX audit_by_type ON audit (type);
CREATE INDEX audit_by_account ON audit (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_by_session ON audit (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_by_address ON audit (address) WHERE address <> '';

CREATE INDEX accounts_disabled ON accounts (name) WHERE disabled = 1;
CREATE INDEX credentials_factors ON credentials (account_id)
    WHERE kind IN ('totp', 'passkey');
CREATE INDEX confirmations_invitations ON confirmations (created_at, token_hash)
    WHERE purpose = 'invitation';

CREATE TABLE stats (
    minute INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    labels TEXT    NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (minute, name, labels)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhooks (
    id            BLOB    NOT NULL PRIMARY KEY,
    url           TEXT    NOT NULL,
    topics        TEXT    NOT NULL,
    sealed        BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    handed_over   INTEGER NOT NULL,
    allow_private INTEGER NOT NULL,
    disabled      INTEGER NOT NULL,
    failing_since INTEGER,
    version       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    id           BLOB    NOT NULL PRIMARY KEY,
    webhook_id   BLOB    NOT NULL,
    topic        TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    not_before   INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    tried_at     INTEGER,
    status       INTEGER,
    answer       TEXT    NOT NULL,
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_of_webhook ON deliveries (webhook_id, id);
CREATE INDEX deliveries_due ON deliveries (webhook_id, not_before, id)
    WHERE state = 'waiting';
