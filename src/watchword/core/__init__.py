"""The rules, pure: no I/O, no clock, no randomness.

Read ``rotation.py`` first: it is the heart of it. Instants are integer milliseconds
since the Unix epoch (UTC), durations are integer milliseconds, unless a name says
otherwise.
"""
