"""Measurements of Watchword: `make bench`, or `python -m bench --help`.

load       the load generator, a process of its own
proofs     the DPoP proofs that it sends
bare       the bare Starlette + msgspec handler that everything is compared with
hashing    the bare argon2id rate
profiled   `watchword serve` under a profiler
unbatched  `watchword serve` without group commit
servers    starting, pinning, watching and stopping all of these
backends   the stores, and the database servers of tests/servers behind them
filling    up to a million sessions in each
measuring  how much is measured, and the rounds that rows share
stores     refresh on each store: bare, unbatched, with two workers
curves     more sessions, more connections
storage    what a session costs in each store
protocols  OAuth and DPoP against the native call
exchanging codes against refreshes, and ID tokens beside them
clients    a thousand clients with one session file
verifying  access-token verification, in process
rows       the other rows, and the list of all
report     the table, the machine, the JSON file

Nothing here asserts a time: benchmarks are not tests.
"""
