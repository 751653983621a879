-- For operators: lists of events and accounts, figures for charts, webhooks. No refresh
-- writes any of these indexes: a rotation changes none of their columns and records no
-- event.
CREATE INDEX accounts_disabled ON watchword.accounts (disabled, name) WHERE disabled;

-- Accounts by role. Triggers keep it, because a program from before this migration writes
-- accounts too.
CREATE TABLE watchword.account_roles (
    account_id bytea NOT NULL,
    role       text  COLLATE "C" NOT NULL,
    name       text  COLLATE "C" NOT NULL,
    PRIMARY KEY (role, name)
);

-- As its owner: the role of a server that runs has no rights to the table yet.
CREATE FUNCTION watchword.keep_account_roles() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM watchword.account_roles
        WHERE name = OLD.name AND role = ANY (string_to_array(OLD.roles, ' '));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO watchword.account_roles (role, name, account_id)
        SELECT role, NEW.name, NEW.id
        FROM unnest(string_to_array(NEW.roles, ' ')) AS role
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER account_roles_of_others AFTER INSERT OR DELETE ON watchword.accounts
    FOR EACH ROW EXECUTE FUNCTION watchword.keep_account_roles();

CREATE TRIGGER account_roles_changed AFTER UPDATE OF name, roles ON watchword.accounts
    FOR EACH ROW WHEN ((NEW.name, NEW.roles) IS DISTINCT FROM (OLD.name, OLD.roles))
    EXECUTE FUNCTION watchword.keep_account_roles();

INSERT INTO watchword.account_roles (role, name, account_id)
SELECT role, name, id
FROM watchword.accounts CROSS JOIN unnest(string_to_array(roles, ' ')) AS role
ON CONFLICT DO NOTHING;

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

-- Last, because they may take minutes: writers of the log wait while these are built. An
-- operator of many millions of events has built them before, concurrently.
CREATE INDEX IF NOT EXISTS audit_by_type ON watchword.audit (type, sequence);
CREATE INDEX IF NOT EXISTS audit_by_account ON watchword.audit (account_id, sequence)
    WHERE account_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_by_session ON watchword.audit (session_id, sequence)
    WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_by_address ON watchword.audit (address, sequence)
    WHERE address <> '';
