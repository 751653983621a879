-- What 0.3.0 keeps in its data folder: dumped by sqlite3, with what its users had.
-- secret: 2yTGTe7Q0XMpNJdERrEpUHkgwLKhNBLH3OW2k_BWSZDtd8jDtUnUQNr7PSf-miBh
-- access token: eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6ImZ5WEM1czE1UnNlTUw2X3RjMFZMSUsyTDBpemlYckkxaFlXeDJySFZmZDgifQ.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xIiwic3ViIjoiMDFhMjI3ZmYtMjFjNC03ZGIwLThjZTctNWQyNjM5YjAxZDcxIiwiYXVkIjoiYXBpIiwiZXhwIjoxNzk1OTY3NDgxLCJpYXQiOjE3OTU5NjczNjEsImp0aSI6ImRmZWFjNmVjZmRiMTRiZWU0MGE0MTUxMzBlNGFjM2E4IiwiY2xpZW50X2lkIjoiZmlyc3QtcGFydHkiLCJhdXRoX3RpbWUiOjE3OTU5NjczNjEsInNpZCI6IjAxYTIyN2ZmLTIxZWYtN2RkYi1hNTFkLWZmODUyMWE5YzBkOCIsImFjciI6ImFhbDEiLCJhbXIiOlsicHdkIl0sInJvbGVzIjpbInJlYWRlciJdfQ.HtBiApd9rVjwGiz1b7hqysyrl_qQqCdu-bp0mi8EPKreHCRQ1Tz01AVLifkicKaV-g9oxbX6lMLWUIRuka2QYA
-- refresh token: ww_rt_AQGiJ_8h733bpR3_hSGpwNgAAAAA1ewCGo0miRHpT3v4jF0_6rrVt6_RXYFUbNBZY_lt8_YAl19U
-- client secret: ww_cs_GQe48fKr_1pGnK0mShRVelYypcNR5tzIgygYGaXY5RQ

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
INSERT INTO "accounts" VALUES(X'01A227FF21A977F28730438A426BC04B','admin','$argon2id$v=19$m=19456,t=2,p=1$pydPw85yERxlD+rZ3BThJA$7H+0KJOlUR1mGcclgVmbpt+PDE2jKBb14jt5Lz0yZgI','admin',1795967361449,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A227FF21C47DB08CE75D2639B01D71','ann','$argon2id$v=19$m=19456,t=2,p=1$Wl/Ul9C/Xt+5ySLPdXYPlw$R/7Ed5W/TtVbTVxoROuEadfis+OOb0uBQbnhs0EbGWw','reader',1795967361476,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A227FF21D97D67BA74370CC6A16E3E','bob','$argon2id$v=19$m=19456,t=2,p=1$rkL8BR5WrHaMPJZ2PBw9Aw$r0iXUlMycC1FIe+03ogEVtxOpo2oMR1zXZEFxhtdPps','',1795967361497,1,1,1,NULL,NULL,NULL,'en');
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
INSERT INTO "audit" VALUES(1,'signing_key_updated',1795967361398,NULL,NULL,NULL,'','{"change":"created","active":"fyXC5s15RseML6_tc0VLIK2L0iziXrI1hYWx2rHVfd8","secret":"4afd5282","by":"system"}',NULL);
INSERT INTO "audit" VALUES(2,'user_created',1795967361449,X'01A227FF21A977F28730438A426BC04B',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(3,'user_created',1795967361476,X'01A227FF21C47DB08CE75D2639B01D71',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(4,'user_created',1795967361497,X'01A227FF21D97D67BA74370CC6A16E3E',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(5,'user_updated',1795967361498,X'01A227FF21D97D67BA74370CC6A16E3E',NULL,NULL,'','{"change":"disabled","by":"app"}',NULL);
INSERT INTO "audit" VALUES(6,'authn_login_success',1795967361519,X'01A227FF21C47DB08CE75D2639B01D71',X'01A227FF21EF7DDBA51DFF8521A9C0D8','first-party','192.0.2.7','{"by":"user"}',NULL);
INSERT INTO "audit" VALUES(7,'client_created',1795967361520,NULL,NULL,'billing','','{"confidential":true,"rights":"","by":"app"}',NULL);
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
, grace       INTEGER NOT NULL DEFAULT 10000, checks_dpop INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "clients" VALUES('billing',X'34970A732322F2BFBDF898D012FCCF56785402FD46364D56CED1E78DD2044EB1',1795967361520,'','',NULL,'refresh_token client_credentials','',0,0,0,10000,0);
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
, scope    TEXT    NOT NULL DEFAULT '', audience TEXT    NOT NULL DEFAULT '', jkt      TEXT, amr      TEXT    NOT NULL DEFAULT 'pwd', acr      TEXT    NOT NULL DEFAULT 'aal1', cookie   INTEGER NOT NULL DEFAULT 0, auth_time INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO "sessions" VALUES(X'01A227FF21EF7DDBA51DFF8521A9C0D8',X'01A227FF21C47DB08CE75D2639B01D71','first-party',X'7663B14763E076B2EE7955C9F58A5851902E3458320E9DB2DEF99FDBB3659618',X'EB70E1BB95CD994D5A636B3DD85539636B08D2FC1203C7F512CE44087BD29F01',0,0,1795967361518,1795967361519,1796572161519,1798559361519,120000,0,0,'reader','192.0.2.7','curl/8',NULL,NULL,'','',NULL,'pwd','aal1',0,1795967361518);
CREATE TABLE signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO "signing_keys" VALUES('fyXC5s15RseML6_tc0VLIK2L0iziXrI1hYWx2rHVfd8','ES256','active',X'3E7ABDE9B784E046059D5E83E810E0ABEA27A2B28F15E2109050D0CDD65A758E008CCD463B41664C35F7132EF47EC0B555FD701F33FDF93378B3CB0BC0973CC60C5559650D85D44AF425CFF95E0CF0221F9C1B849D795919F9F9A7C6EEDC03F7E1CB3FE3A77B65F2C3EA828B36C0CD22B8F4DC5C9A148AF58C1C9E43C7878AAE15BA330537C74B2ED51D9FB2F1F151CA58F23928DB205CE51BCC744B32B2405FFA551FBA0FD1',1795967361397);
INSERT INTO "signing_keys" VALUES('V_YzJVk8CqcnS0ir72d9xrFpf_AjdK49W6-pQk9LuGk','ES256','next',X'3BE957E9CEE033B9F1C1DE9EF02F1F4BC81DD97D01FF803BB98E96F62743544AE41DE74AB7785FF9A2FD5AA3A5D504C662FE1969707608F8AB228F0850D11CD17A4B1382E55A12331EB8FE7FEE7E0E06A5BCCB5577478862143AC09CB1DDE308E989AF8B4202D58F20C68585B7B6E5683741C0B7F98E94C2F5E8F527893841419D97FF9AF86B32A110592896C36141547F467510D6C9D056E821D527BBB0ED67AAAD16B09687',1795967361397);
CREATE TABLE store (
    only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation  BLOB    NOT NULL,
    key_revision INTEGER NOT NULL
) STRICT;
INSERT INTO "store" VALUES(1,X'A22CB650127EC975',1);
CREATE TABLE throttle (
    key       TEXT    NOT NULL PRIMARY KEY,
    runs_down INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "throttle" VALUES('address:192.0.2.7',1795967361500);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',7);
COMMIT;
