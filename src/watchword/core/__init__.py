"""The rules, pure: no I/O, no clock, no randomness.

Read ``rotation.py`` first: it is the product. Instants are integer milliseconds since
the Unix epoch (UTC), durations are integer milliseconds, unless a name says otherwise.
"""
