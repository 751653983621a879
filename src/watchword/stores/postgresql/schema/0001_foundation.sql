-- A schema of its own: applications have tables of these names. Instants are
-- milliseconds since the epoch, by the caller's clock, but for recorded_at.

-- One row per session, whatever the number of refreshes. No column that a refresh
-- writes is indexed and every page keeps room for new versions of its rows, so an
-- update stays on its page and writes no index (HOT). Wide columns first: no padding.
CREATE TABLE watchword.sessions (
    generation       bigint  NOT NULL,
    version          bigint  NOT NULL,
    authenticated_at bigint  NOT NULL,
    rotated_at       bigint  NOT NULL,
    idle_expires_at  bigint  NOT NULL,
    expires_at       bigint  NOT NULL,
    revoked_at       bigint,
    access_ttl       bigint  NOT NULL,
    grace            bigint  NOT NULL,
    hold_off         bigint  NOT NULL,
    cookie           boolean NOT NULL,
    id               bytea   NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id       bytea   NOT NULL,
    secret_hash      bytea   NOT NULL,
    retry_hash       bytea   NOT NULL,
    client_id        text    NOT NULL,
    roles            text    NOT NULL,
    address          text    NOT NULL,
    user_agent       text    NOT NULL,
    revoked_reason   text,
    scope            text    NOT NULL,
    audience         text    NOT NULL,
    jkt              text,
    amr              text    NOT NULL,
    acr              text    NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX sessions_of_account ON watchword.sessions (account_id);

-- The revocation feed. Numbers from a sequence become visible in another order than
-- they were drawn, so its readers go by this server's clock, in microseconds.
CREATE TABLE watchword.ended (
    session_id  bytea  NOT NULL PRIMARY KEY,
    at          bigint NOT NULL,
    until       bigint NOT NULL,
    recorded_at bigint NOT NULL
        DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
);

CREATE INDEX ended_recorded_at ON watchword.ended (recorded_at);

-- Names are in the order of their characters, whatever the database's language.
CREATE TABLE watchword.accounts (
    id            bytea   NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name          text    COLLATE "C" NOT NULL UNIQUE,
    password_hash text    NOT NULL,
    roles         text    NOT NULL,
    created_at    bigint  NOT NULL,
    epoch         bigint  NOT NULL,
    version       bigint  NOT NULL,
    disabled      boolean NOT NULL
);

CREATE TABLE watchword.clients (
    id          text    COLLATE "C" NOT NULL PRIMARY KEY,
    secret_hash bytea,
    created_at  bigint  NOT NULL,
    scope       text    NOT NULL,
    audience    text    NOT NULL,
    access_ttl  bigint,
    grants      text    NOT NULL,
    rights      text    NOT NULL,
    dpop        boolean NOT NULL,
    disabled    boolean NOT NULL,
    version     bigint  NOT NULL
);

CREATE TABLE watchword.throttle (
    key       text   COLLATE "C" NOT NULL PRIMARY KEY,
    runs_down bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE watchword.used_once (
    key   bytea  NOT NULL PRIMARY KEY,
    until bigint NOT NULL
);

CREATE INDEX used_once_until ON watchword.used_once (until);

CREATE TABLE watchword.signing_keys (
    kid        text   NOT NULL PRIMARY KEY,
    alg        text   NOT NULL,
    state      text   NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     bytea  NOT NULL,
    changed_at bigint NOT NULL
);

-- `place`: where an event came from that another store committed; taken over once.
CREATE TABLE watchword.audit (
    sequence   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         bigint NOT NULL,
    type       text   NOT NULL,
    account_id bytea,
    session_id bytea,
    client_id  text,
    address    text   NOT NULL,
    detail     text   NOT NULL,
    place      text
);

CREATE UNIQUE INDEX audit_place ON watchword.audit (place) WHERE place IS NOT NULL;

-- One row: which life of the store this is, the revision of the key ring, and the
-- number of the last audit event that a sweep deleted.
CREATE TABLE watchword.store (
    only_row     integer NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation  bytea   NOT NULL,
    key_revision bigint  NOT NULL,
    audit_swept  bigint  NOT NULL
);

INSERT INTO watchword.store (only_row, incarnation, key_revision, audit_swept)
VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), 0, 0);
