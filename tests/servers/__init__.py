"""Real servers for the tests, from wheels: PostgreSQL, Redis, Valkey. No root needed.

Each test process starts its own, when a test first asks for it, on free ports of
loopback and in a folder that goes with the process.
"""
