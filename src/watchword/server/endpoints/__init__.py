"""One file per concern: what it takes, what it calls, what it answers.

Each endpoint is an `Operation` for the document and a function for the request.
"""
