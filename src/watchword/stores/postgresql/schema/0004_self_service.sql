-- Accounts that serve themselves: their mail address, and what waits for a confirmation.
-- `email_key` is the one spelling of an address, and null where it is not proved. Accounts
-- that there are have no address; a server of an older version may still make some.
ALTER TABLE watchword.accounts
    ADD COLUMN email              text,
    ADD COLUMN email_key          text COLLATE "C",
    ADD COLUMN email_confirmed_at bigint,
    ADD COLUMN locale             text NOT NULL DEFAULT 'en';

CREATE UNIQUE INDEX accounts_email_key ON watchword.accounts (email_key);

CREATE TABLE watchword.registrations (
    created_at    bigint NOT NULL,
    until         bigint NOT NULL,
    id_hash       bytea  NOT NULL PRIMARY KEY,
    token_hash    bytea  NOT NULL UNIQUE,
    email         text   NOT NULL,
    email_key     text   COLLATE "C" NOT NULL,
    username      text,
    password_hash text   NOT NULL,
    locale        text   NOT NULL,
    network       text   COLLATE "C" NOT NULL,
    UNIQUE (email_key, network)
);

CREATE INDEX registrations_of_network ON watchword.registrations (network);
CREATE INDEX registrations_until ON watchword.registrations (until);

-- An invitation has no account.
CREATE TABLE watchword.confirmations (
    created_at bigint NOT NULL,
    until      bigint NOT NULL,
    token_hash bytea  NOT NULL PRIMARY KEY,
    account_id bytea,
    purpose    text   NOT NULL,
    email      text   NOT NULL,
    email_key  text   COLLATE "C" NOT NULL,
    roles      text   NOT NULL
);

CREATE INDEX confirmations_of_account ON watchword.confirmations (account_id);
CREATE INDEX confirmations_ways_back ON watchword.confirmations (email_key)
    WHERE purpose = 'revert';
CREATE INDEX confirmations_until ON watchword.confirmations (until);

-- Names and addresses that an account let go, in one space: a user signs in by both.
CREATE TABLE watchword.held (
    until      bigint NOT NULL,
    key        text   COLLATE "C" NOT NULL PRIMARY KEY,
    account_id bytea  NOT NULL
);

CREATE INDEX held_until ON watchword.held (until);

-- In order of id, which is the order of their making.
CREATE TABLE watchword.outbox (
    not_before   bigint  NOT NULL,
    leased_until bigint  NOT NULL DEFAULT 0,
    attempts     integer NOT NULL DEFAULT 0,
    id           bytea   NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind         text    NOT NULL,
    sealed       bytea   NOT NULL,
    account_id   bytea,
    lane         text    NOT NULL,
    network      text    NOT NULL
);

CREATE INDEX outbox_of_lane ON watchword.outbox (lane, id);
CREATE INDEX outbox_of_account ON watchword.outbox (account_id)
    WHERE account_id IS NOT NULL;

-- The instant of the user's latest proof. Null, as a server of an older version leaves
-- it, stands for the sign-in.
ALTER TABLE watchword.sessions ADD COLUMN auth_time bigint;

-- The sessions of an account that have not ended, however many have: for the limit of
-- live ones. A refresh does not change which they are, so it stays HOT. Writers wait
-- while the index is built; an operator of many millions has built it before,
-- concurrently.
CREATE INDEX IF NOT EXISTS sessions_live_of_account ON watchword.sessions (account_id)
    WHERE revoked_at IS NULL;
