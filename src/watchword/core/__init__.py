"""The rules, pure: no I/O, no clock, no randomness.

Read ``rotation.py`` first: it is the heart of it. Instants are integer milliseconds
since the Unix epoch (UTC), durations are integer milliseconds, unless a name says
otherwise.

    rotation       what happens to a session when a refresh token comes
    browser_cookie what happens to one when the cookie of a browser comes
    session        a session, the policy it is made under, and what a sign-in proved
    policies       the policy of each session, by its client
    refresh_token  the opaque refresh token and its MAC
    access_token   the claims of an access token
    one_time_token a token that travels by mail, and what it is for
    actor          what caused a change, and why a session ended
    revoked        the set of revoked sessions with tokens that may still be valid
    throttle       GCRA: how many attempts, and how long to wait
    network        network addresses in one spelling
    steadiness     whether the wall clock was set lately
    limits         every number that bounds something
    base64url      base64url without padding, in its one spelling
"""
