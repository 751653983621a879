"""Measurements of Watchword: `make bench`, or `python -m bench --help`.

load       the load generator, a process of its own
proofs     the DPoP proofs that it sends
bare       the bare Starlette + msgspec handler that everything is compared with
hashing    the bare argon2id rate
profiled   `watchword serve` under a profiler
servers    starting, pinning, watching and stopping all of these
measuring  how much is measured, and the rounds that rows share
storage    what a session costs in the database file
protocols  OAuth and DPoP against the native call
verifying  access-token verification, in process
rows       the other rows, and the list of all
report     the table, the machine, the JSON file

Nothing here asserts a time: benchmarks are not tests.
"""
