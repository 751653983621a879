-- What 0.4.0 keeps in its data folder: dumped by sqlite3, with what its users had.
-- secret: SHpbOwCjobbsF9PGaNEP_SnKAua-6GrsadT7ZrhZxve3s2-dyWUkr5GZDeDNyloU
-- access token: eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6IndJZ2h1T0d3aTBFODU5MTAzbXdJeUstUDNydEZ1b2FVemVlX25KTE5HakkifQ.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xIiwic3ViIjoiMDFhMjI4YWEtZDE2YS03NTA4LWEwNjUtMDJlOTdhNjlkYWI1IiwiYXVkIjoiYXBpIiwiZXhwIjoxNzk1OTc4NzMzLCJpYXQiOjE3OTU5Nzg2MTMsImp0aSI6IjRlYzhjZTY5OWIyZGU0ODFjNmY0MmJmZDM1M2ExNzM3IiwiY2xpZW50X2lkIjoiZmlyc3QtcGFydHkiLCJhdXRoX3RpbWUiOjE3OTU5Nzg2MTMsInNpZCI6IjAxYTIyOGFhLWQyYWUtNzliMy04YmNjLTk5NzcxOGE1MDU0MiIsImFjciI6ImFhbDEiLCJhbXIiOlsicHdkIl0sInJvbGVzIjpbInJlYWRlciJdfQ.tIUZHLKU4QvimGQthbZjX85YE4ZXhNiNWYGUGahvV8Txpl75dRL5GejG8m3FrJ5xr2PQ5Q3iMLNx5vOx-0FWIQ
-- refresh token: ww_rt_AQGiKKrSrnmzi8yZdxilBUIAAAAAaS7w9rp4GBCWOF3OFiNjs5yTNxSXUJ3jKiJvEiqo63FQcWwZ
-- client secret: ww_cs_ZAnQfBNJz7_ClYYvFAhASibDLc32qX-nS1QEay91hZQ

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
INSERT INTO "accounts" VALUES(X'01A228AAD0FD79C8A9D3EAF80E8A90C6','admin','$argon2id$v=19$m=19456,t=2,p=1$uRnatBzHkKfoZLf8E7BDKw$m1axMcsQTle4mvg/d3L65neMOSb7IohoLfA0xESJOFg','admin',1795978612989,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A228AAD16A7508A06502E97A69DAB5','ann','$argon2id$v=19$m=19456,t=2,p=1$1V87gL+yzJZMdcqD19FIhQ$gHM4Xvm8mVr9cpvvzXXqrEu4qnMGsHuJV5lhu3duIOg','reader',1795978613098,0,0,0,NULL,NULL,NULL,'en');
INSERT INTO "accounts" VALUES(X'01A228AAD1CA7C9DBEDC6B14B8DA4708','bob','$argon2id$v=19$m=19456,t=2,p=1$sjcL00G4nTvwHqy9CJRFVg$5ZfPrfeGDPX3nlmmQHzP18tE+RntwwYhDK+qZ5U/j1Q','',1795978613194,1,1,1,NULL,NULL,NULL,'en');
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
INSERT INTO "audit" VALUES(1,'signing_key_updated',1795978612712,NULL,NULL,NULL,'','{"change":"created","active":"wIghuOGwi0E859103mwIyK-P3rtFuoaUzee_nJLNGjI","secret":"3467f8fe","by":"system"}',NULL);
INSERT INTO "audit" VALUES(2,'user_created',1795978612989,X'01A228AAD0FD79C8A9D3EAF80E8A90C6',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(3,'user_created',1795978613098,X'01A228AAD16A7508A06502E97A69DAB5',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(4,'user_created',1795978613194,X'01A228AAD1CA7C9DBEDC6B14B8DA4708',NULL,NULL,'','{"by":"app"}',NULL);
INSERT INTO "audit" VALUES(5,'user_updated',1795978613199,X'01A228AAD1CA7C9DBEDC6B14B8DA4708',NULL,NULL,'','{"change":"disabled","by":"app"}',NULL);
INSERT INTO "audit" VALUES(6,'authn_login_success',1795978613422,X'01A228AAD16A7508A06502E97A69DAB5',X'01A228AAD2AE79B38BCC997718A50542','first-party','192.0.2.7','{"by":"user"}',NULL);
INSERT INTO "audit" VALUES(7,'client_created',1795978613427,NULL,NULL,'billing','','{"confidential":true,"rights":"","by":"app"}',NULL);
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
INSERT INTO "clients" VALUES('billing',X'D4B953529FADCF6C4D436D0A90A820C7D164BB760854E64C65E5C7829761B4A5',1795978613427,'','',NULL,'refresh_token client_credentials','',0,0,0,10000,0);
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
INSERT INTO "sessions" VALUES(X'01A228AAD2AE79B38BCC997718A50542',X'01A228AAD16A7508A06502E97A69DAB5','first-party',X'4C6116085637D63E7910E367F4491572816003F55E5B40FAFE58C000CEA14B9D',X'876010B8EDB697C7F7385268C2D7C6BD79AB5C12E51E5F9BDFFA8DCD1A67D217',0,0,1795978613422,1795978613422,1796583413422,1798570613422,120000,0,0,'reader','192.0.2.7','curl/8',NULL,NULL,'','',NULL,'pwd','aal1',0,1795978613422);
CREATE TABLE signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    alg        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
INSERT INTO "signing_keys" VALUES('wIghuOGwi0E859103mwIyK-P3rtFuoaUzee_nJLNGjI','ES256','active',X'25073FCC64D58C21CA5A144C8A3E1BC7D04EA57DEFDA07EF91D0E9DABE6B05184EEBDD1C8D1F01122CAEACC921BF2A3B949CA5F1A6D4FD9D82B2525249A6CF9B36F32017C20A5D184984C3A5BFAB3CF281557E325B24CA5DE863D89EA29D8DE01AA5188423C1FD84AF70DDE229FD22EEE6174EE8CD9CCD7DBE3E491041E235C8EAF918C24A916A316A7B4B1EB1E759A62A5136A827B28A66A6AEBA4059BD6667D4BC6718ED8C',1795978612711);
INSERT INTO "signing_keys" VALUES('GYGksfX7tWtEpyAi97KEjXbroOD4tm1xjfqLDWMEfrw','ES256','next',X'E64034939044653A212F49DC75A40B61886A8D6335D1368752D21785A8AC52053C8AA81A323BE2DF1B29C66B7D8707352D3E89417D90D932BCA9BA22C95AF6ABF9C7F69E143501D82F70FD638873402510A357A4A4D9827BAF0AA42DD57A9C241CD7D31DBE8DC8BF38C436CAF9FF5560DBDDE1EF6453C2BB784E7AE469F811DD5BA59AF7D6BDDBBF909E4F695852AB381B7C9132DB579FCC051751442F82938D48202B10ED0E',1795978612711);
CREATE TABLE store (
    only_row     INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    incarnation  BLOB    NOT NULL,
    key_revision INTEGER NOT NULL
) STRICT;
INSERT INTO "store" VALUES(1,X'332AAB6B049EAF5B',1);
CREATE TABLE throttle (
    key       TEXT    NOT NULL PRIMARY KEY,
    runs_down INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "throttle" VALUES('address:192.0.2.7',1795978613203);
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',7);
COMMIT;
