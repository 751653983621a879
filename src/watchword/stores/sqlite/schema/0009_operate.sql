-- For operators: lists of events, figures for charts, webhooks. No refresh writes any of
-- these indexes: a rotation changes none of their columns and records no event.
CREATE INDEX audit_by_type ON audit (type);
CREATE INDEX audit_by_account ON audit (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_by_session ON audit (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX audit_by_address ON audit (address) WHERE address <> '';

CREATE INDEX accounts_disabled ON accounts (name) WHERE disabled = 1;

-- Accounts by role. Triggers keep it, because a program from before this migration writes
-- accounts too.
CREATE TABLE account_roles (
    role       TEXT NOT NULL,
    name       TEXT NOT NULL,
    account_id BLOB NOT NULL,
    PRIMARY KEY (role, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER account_roles_added AFTER INSERT ON accounts BEGIN
    INSERT OR IGNORE INTO account_roles (role, name, account_id)
    SELECT value, NEW.name, NEW.id
    FROM json_each('[' || replace(json_quote(NEW.roles), ' ', '","') || ']')
    WHERE value <> '';
END;

CREATE TRIGGER account_roles_removed AFTER DELETE ON accounts BEGIN
    DELETE FROM account_roles WHERE name = OLD.name AND role IN (
        SELECT value
        FROM json_each('[' || replace(json_quote(OLD.roles), ' ', '","') || ']')
    );
END;

CREATE TRIGGER account_roles_changed AFTER UPDATE OF name, roles ON accounts
WHEN (NEW.name, NEW.roles) <> (OLD.name, OLD.roles) BEGIN
    DELETE FROM account_roles WHERE name = OLD.name AND role IN (
        SELECT value
        FROM json_each('[' || replace(json_quote(OLD.roles), ' ', '","') || ']')
    );
    INSERT OR IGNORE INTO account_roles (role, name, account_id)
    SELECT value, NEW.name, NEW.id
    FROM json_each('[' || replace(json_quote(NEW.roles), ' ', '","') || ']')
    WHERE value <> '';
END;

INSERT OR IGNORE INTO account_roles (role, name, account_id)
SELECT value, accounts.name, accounts.id FROM accounts
CROSS JOIN json_each('[' || replace(json_quote(accounts.roles), ' ', '","') || ']')
WHERE value <> '';

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
