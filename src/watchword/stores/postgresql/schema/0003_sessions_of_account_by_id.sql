-- Lists and ends of an account's sessions go by id, a stretch at a time. The index on the
-- account alone would have all of its sessions read and sorted for each stretch. Writers
-- wait while it is built; an operator of many millions has built it before, concurrently.
CREATE INDEX IF NOT EXISTS sessions_of_account_by_id ON watchword.sessions (account_id, id);
DROP INDEX watchword.sessions_of_account;
