"""Which sessions have ended.

revoked  the set in memory, and the task that follows the store's feed to fill it
journal  the log of one process's entries, for the resource servers that follow it
"""
