"""Signing keys: which one signs access tokens, which are published, how that changes.

signing  a signing key: how it is made, and how it signs
vault    what is sealed at rest, under keys derived from the server secret
ring     the ring of signing keys: their states, and rotation
"""
