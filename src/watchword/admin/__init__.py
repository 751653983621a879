"""What operators see and change: the engine of the admin API and of the console.

Both show the same pages and call the same verbs. A list is a `Page` with a cursor. A
verb takes the `Operator` that calls it, and the version that this one saw.
"""
