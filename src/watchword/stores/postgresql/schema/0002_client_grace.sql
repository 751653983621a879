-- The grace (ms) of a client's sessions, for software that sends no retry key, and
-- whether an API that introspects looks at DPoP. The defaults are for the clients there
-- are, and for a server of an older version that still makes some: 10 seconds, as
-- `clients add` gives; and a bound token is shown to none that has not said so.
ALTER TABLE watchword.clients
    ADD COLUMN grace       bigint  NOT NULL DEFAULT 10000,
    ADD COLUMN checks_dpop boolean NOT NULL DEFAULT false;
