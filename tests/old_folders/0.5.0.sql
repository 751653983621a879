-- What 0.5.0 keeps in its data folder: dumped by sqlite3, with what its users had.
-- secret: VlKnUBfcjqcDMB7q99YTRLxDRXIoU-UL0Bl1QeACyALVPDxyHe8xUZYbOjHnqTnb
-- access token: eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6IjdEMVktbVZYVnQ0dnVZeXNBWWNMUVBnNW1iQXhoOWNKR3hRTTZIdlRJMDgifQ.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xIiwic3ViIjoiMDFhMjI5NjUtNDMzMC03NTcxLWIyYTQtOWJkNGZmMDg5OWUxIiwiYXVkIjoiYXBpIiwiZXhwIjoxNzk1OTkwOTUyLCJpYXQiOjE3OTU5OTA4MzIsImp0aSI6IjJiY2RlMDgyOGJmYThhZTg3ZDRiYjM1YjJiMGI4MTJkIiwiY2xpZW50X2lkIjoiZmlyc3QtcGFydHkiLCJhdXRoX3RpbWUiOjE3OTU5OTA4MzIsInNpZCI6IjAxYTIyOTY1LTQ1NTEtNzMxZC04MWQwLTE3MWM5ODlkOWEyYiIsImFjciI6ImFhbDEiLCJhbXIiOlsicHdkIl0sInJvbGVzIjpbInJlYWRlciJdfQ.xZngxlDqn4slZ1BIVMmKMFUw47wmuBglGMugOeMb9jj6X4z-A-7T0qn0dg8H0rMzzGFKlVOmi2sD6KbMz3WZTQ
-- refresh token: ww_rt_AQGiKWVFUXMdgdAXHJidmisAAAAAKzYu6LwejMUd61ivC75-XMWE4XBTm8Bay8OK-BZ5ySijiq5v
-- client secret: ww_cs_Wxy8m9FpTAkSX-F022VlSSuQtFAVDUkqpIuEYOu1G78

BEGIN TRANSACTION;
CREATE TABLE accounts (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name          TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    roles         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    disabled      INTEGER NOT NULL
, email              TEXT, email_key          TEXT, email_confirmed_at INTEGER, locale             TEXT NOT NULL DEFAULT 'en') STRICT;
INSERT INTO "accounts" VALUES(X'01A22965426A7612B7456649FBC4E181','admin','$argon2id$v=19$m=19456,t=2,p=1$yglk8THhn0AjqbOF93ZmlQ$oa7YCuV7l7BpWuqwtSMBFbuEC3Q6l1k3M62hN+LCuWY','admin',1795990831722,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A2296543307571B2A49BD4FF0899E1','ann','$argon2id$v=19$m=19456,t=2,p=1$nyu5L4+ARJwCmI9rzVgZzg$uNQhRHV9t/ZQ2hGMRm1AKoTo9SPirlqN/6pK0shO+lk','reader',1795990831920,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A22965442A712F9BB62B4481E575F4','bob','$argon2id$v=19$m=19456,t=2,p=1$qO8gFc59ktrPN24g5k08cQ$1jJvJxL+psYeyFesg+1fwjU9wpmBwhzob53iryC/sVY','',1795990832170,1,1,1,NULL,NULL,NULL,'en');
CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    type       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    account_id BLOB,
    session_id BLOB,
    client_id  TEXT,
    address    TEXT    NOT NULL,
    detail     TEXT    NOT NULL
, place TEXT) STRICT;
INSERT INTO "audit" VALUES(1,'signing_key_updated',1795990831161,NULL,NULL,NULL,'','{"change":"created","use":"access","active":"7D1Y-mVXVt4vuYysAYcLQPg5mbAxh9cJGxQM6HvTI08","secret":"cd969419","by":"system"}',NULL);
INSERT INTO "audit" VALUES(2,'user_created',1795990831722,X'01A22965426A7612B7456649FBC4E181',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(3,'user_created',1795990831920,X'01A2296543307571B2A49BD4FF0899E1',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(4,'user_created',1795990832170,X'01A22965442A712F9BB62B4481E575F4',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(5,'user_updated',1795990832172,X'01A22965442A712F9BB62B4481E575F4',NULL,NULL,'','{"change":"disabled","by":"app"}',NULL);
INSERT INTO "audit" VALUES(6,'authn_login_success',1795990832465,X'01A2296543307571B2A49BD4FF0899E1',X'01A229654551731D81D0171C989D9A2B','first-party','192.0.2.7','{"by":"user"}',NULL);
INSERT INTO "audit" VALUES(7,'client_created',1795990832477,NULL,NULL,'billing','','{"confidential":true,"rights":"","by":"app"}',NULL);
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
, grace       INTEGER NOT NULL DEFAULT 10000, checks_dpop INTEGER NOT NULL DEFAULT 0, name TEXT NOT NULL DEFAULT '', redirect_uris TEXT NOT NULL DEFAULT '', post_logout_redirect_uris TEXT NOT NULL DEFAULT '', id_token_alg TEXT NOT NULL DEFAULT 'RS256', trusted INTEGER NOT NULL DEFAULT 0, pkce INTEGER NOT NULL DEFAULT 1, par INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "clients" VALUES('billing',X'F269647F62595FC5B345F8E6E2772C1A304638F32CB2E93FA706AFE8D7AEDB28',1795990832477,'','',NULL,'refresh_token client_credentials','',0,0,0,10000,0,'','','','RS256',0,1,0);
CREATE TABLE confirmations (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    account_id BLOB,
    purpose    TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    email_key  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    roles      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE consents (
    account_id BLOB    NOT NULL,
    client_id  TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE credentials (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id BLOB    NOT NULL,
    kind       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    label      TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    used_at    INTEGER,
    until      INTEGER,
    step       INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ended (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id BLOB    NOT NULL,
    at         INTEGER NOT NULL,
    until      INTEGER NOT NULL
) STRICT;
CREATE TABLE held (
    key        TEXT    NOT NULL PRIMARY KEY,
    account_id BLOB    NOT NULL,
    until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE id_token_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    use        TEXT    NOT NULL,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE TABLE outbox (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind         TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    not_before   INTEGER NOT NULL,
    account_id   BLOB,
    lane         TEXT    NOT NULL,
    network      TEXT    NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE registrations (
    id_hash       BLOB    NOT NULL PRIMARY KEY,
    token_hash    BLOB    NOT NULL UNIQUE,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    username      TEXT,
    password_hash TEXT    NOT NULL,
    locale        TEXT    NOT NULL,
    network       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    until         INTEGER NOT NULL,
    UNIQUE (email_key, network)
) STRICT, WITHOUT ROWID;
CREATE TABLE schema_migrations (
    number   INTEGER NOT NULL PRIMARY KEY,
    checksum TEXT    NOT NULL
) STRICT;
INSERT INTO "schema_migrations" VALUES(1,'b32b8b155c708397af4b7ad19672af27928866e6d2cafe39f36c4d9c86a78c71');
INSERT INTO "schema_migrations" VALUES(2,'e186eb2eaf23ae9a698c55678ac8b3ac7c089de11e0737a2a58a8fa15f59a458');
INSERT INTO "schema_migrations" VALUES(3,'beb970eb448be4bb24217c1c726f28019204f20458c0821162e1c2a95fd0d59b');
INSERT INTO "schema_migrations" VALUES(4,'dd6066f0f0aaa4652a93127a78fd59401fad977bdd8706b8da1e024689432377');
INSERT INTO "schema_migrations" VALUES(5,'d70215f9ecaf54fb802a9d13888bdb89d87c6ddd382626c742fb77dca1a879e5');
INSERT INTO "schema_migrations" VALUES(6,'f71809af76c1e06ec16cabd88944778466df6efeac72df189c1cd2e7ddcf44eb');
INSERT INTO "schema_migrations" VALUES(7,'be4c40928e34dcba04834b6e345b948eb2cf4b75e0ec0b59ffa1d88ded35a4f1');
INSERT INTO "schema_migrations" VALUES(8,'16f2f663d5a57ded0fd6ab9c9fe99b3627b4c4232b21daa438ab633b87539d22');
CREATE TABLE sessions (
    id               BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id       BLOB    NOT NULL,
    client_id        TEXT    NOT NULL,
    secret_hash      BLOB    NOT NULL,
    retry_hash       BLOB    NOT NULL,
    generation       INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    rotated_at       INTEGER NOT NULL,
    idle_expires_at  INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    access_ttl       INTEGER NOT NULL,
    grace            INTEGER NOT NULL,
    hold_off         INTEGER NOT NULL,
    roles            TEXT    NOT NULL,
    address          TEXT    NOT NULL,
    user_agent       TEXT    NOT NULL,
    revoked_at       INTEGER,
    revoked_reason   TEXT
, scope    TEXT    NOT NULL DEFAULT '', audience TEXT    NOT NULL DEFAULT '', jkt      TEXT, amr      TEXT    NOT NULL DEFAULT 'pwd', acr      TEXT    NOT NULL DEFAULT 'aal1', cookie   INTEGER NOT NULL DEFAULT 0, auth_time INTEGER, started_from BLOB) STRICT, WITHOUT ROWID;
INSERT INTO "sessions" VALUES(X'01A229654551731D81D0171C989D9A2B',X'01A2296543307571B2A49BD4FF0899E1','first-party',X'5B68DDBBA4AD0E02F078380F6BC5202DAB3797A8F86E4E24FF67B4B93802D342',X'7A62CEC0F983C560BF0F8D07A4F2594F80664B4E036C5F8FED589EBBEDF953A0',0,0,1795990832464,1795990832465,1796595632465,1798582832465,120000,0,0,'reader','192.0.2.7','curl/8',NULL,NULL,'','',NULL,'pwd','aal1',0,1795990832464,NULL);
CREATE TABLE signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO "signing_keys" VALUES('7D1Y-mVXVt4vuYysAYcLQPg5mbAxh9cJGxQM6HvTI08','ES256','active',X'5010F5EEB4720C6FDD9CA1C4CD0E6A72AEE20088C9008A35772207FB30508BAC6D911C97288770C8ACFB4374335C11E6D413B887C6BBF453EC3BC1A35724CEA67CE43BA1489212EACC107CE6D083A24F178C6B57F2AE84AA32270E7822F31E379F401C20D33173B422A65E72893477F50C06F07231A89B3ED32934A7BCECC004987DC238A57BE3EF346C491E455E2A45F93BA49BCB6DA5C9C35DC8174D777A14C9C52AA2EA43',1795990831160);
INSERT INTO "signing_keys" VALUES('gR7pBCepFcW3hwqVZYrTXJ4cvbgXCMyY7dHiERDWNHo','ES256','next',X'58FD0B8A2323AD64064763EC36A0ADB0F52619DF397A5131132C6236FA28912CFAACCF26D6A2763DFD4A8B74CC830379FEEEA3E9A7D95336114E06F643A02A289374D6B692B877321E93F94E98B0E74FD94F0EF02D5D5736A91F2E89092791D1E17A89EB17CED174DF38FCE6148AEA6DD4774CEEDF057B1E725E2B87AFBE58094BCE384EF21AE9C1C22BE1B5E6CEBD7C2577262F92842B389EFCCADD9F6553257ADE45587621',1795990831161);
CREATE TABLE store (
    only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation  BLOB    NOT NULL,
    key_revision INTEGER NOT NULL
) STRICT;
INSERT INTO "store" VALUES(1,X'1701845711CB68DA',1);
CREATE TABLE throttle (
    key       TEXT    NOT NULL PRIMARY KEY,
    runs_down INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "throttle" VALUES('address:192.0.2.7',1795990832179);
CREATE TABLE used_once (
    key   BLOB    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_account ON sessions (account_id);
CREATE INDEX used_once_until ON used_once (until);
CREATE UNIQUE INDEX audit_place ON audit (place) WHERE place IS NOT NULL;
CREATE INDEX throttle_runs_down ON throttle (runs_down);
CREATE UNIQUE INDEX accounts_email_key ON accounts (email_key);
CREATE INDEX registrations_of_network ON registrations (network);
CREATE INDEX registrations_until ON registrations (until);
CREATE INDEX confirmations_of_account ON confirmations (account_id);
CREATE INDEX confirmations_ways_back ON confirmations (email_key)
    WHERE purpose = 'revert';
CREATE INDEX confirmations_until ON confirmations (until);
CREATE INDEX held_until ON held (until);
CREATE INDEX outbox_of_lane ON outbox (lane, id);
CREATE INDEX outbox_of_account ON outbox (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX sessions_live_of_account ON sessions (account_id) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX credentials_key ON credentials (kind, key) WHERE key <> x'';
CREATE INDEX credentials_of_account ON credentials (account_id);
CREATE INDEX credentials_until ON credentials (until) WHERE until IS NOT NULL;
CREATE TRIGGER consents_go_with_their_account AFTER DELETE ON accounts BEGIN
    DELETE FROM consents WHERE account_id = OLD.id;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',7);
COMMIT;
