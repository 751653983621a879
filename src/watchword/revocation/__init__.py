"""Which sessions have ended.

tracker  the set in memory, and the task that follows the store's feed to fill it
log      the log of one process's entries, for the resource servers that follow it
"""
