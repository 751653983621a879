"""Tokens in requests: the toolkit of issuers and of resource servers.

jose        decode, sign and verify JWTs
jwk         public keys as JSON Web Keys
dpop        proofs of possession (RFC 9449)
headers     the access token and the proof in the headers of a request
challenges  the answer to a request without a usable token (WWW-Authenticate)
checker     judges an access token without I/O
"""
