-- Failed sign-ins under a million names leave as many counters. Without an index a sweep
-- would look at all of them while the writer waits.
CREATE INDEX throttle_runs_down ON throttle (runs_down);
