"""The authorization server: from the request of a client to a code, and to tokens.

authorize     the request, what pages have to ask, and the code
parameters    a request as it came, and the answer to it
interactions  requests that wait for a browser, and for its user
codes         codes, sealed and read
consents      what users have allowed clients to have
exchange      the code, and the session that it makes
id_tokens     ID tokens, and hints made of them
userinfo      the claims of a user
logout        a sign-out that a client asks for
"""
