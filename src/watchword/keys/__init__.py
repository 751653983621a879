"""Signing keys: which one signs access tokens, which are published, how that changes.

signing    a signing key: how it is made, and how it signs
vault      how signing keys are sealed, under keys derived from the server secret
sealing    how all else is sealed that rests in a store
resealing  what an older server secret has sealed, sealed anew
ring       the ring of signing keys: their states, and rotation
"""
