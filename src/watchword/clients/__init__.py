"""OAuth clients: which programs may ask for tokens, for which ones, and their secrets.

A public client has no secret: its id only says which client a session belongs to. A
confidential client proves that it has its secret. It may then have tokens of its own
(RFC 6749 §4.4), or rights that concern the sessions of other clients (`introspect`,
`feed`).

rules            what a client may be, and the client that is built in
authentication   a client's secret: how it is made, and whether a caller has it
registry         clients: added, changed, listed
tokens           the access tokens of a client's own
"""
