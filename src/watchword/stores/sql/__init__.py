"""What the stores in SQL have in common: ports that differ by their statements alone.

A statement is called by its name in the store's `statements.sql`.

files      statements and migrations        rows     rows to values and back
database   what the store does for them
accounts   registrations   confirmations    the ports
credentials   clients    once    outbox    audit
stretches  many sessions, a stretch of ids at a time
"""
