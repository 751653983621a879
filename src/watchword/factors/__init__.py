"""Second factors of users: of accounts, and of an app's own users by their subject.

rows            rows of credentials: ids of singletons, names of factors
policy          which users need a second factor
tickets         tickets that serve once
totp            codes of authenticator apps
recovery_codes  codes on paper, each of which works once
passkeys        registered and asked for, each challenge once
passkey_uses    their counters
cbor            what authenticators send, before it is parsed
webauthn        what they are asked and say; the only module that knows the library
prove           one attempt with any of them, counted
alarms          what the owner is told of wrong ones
telling         what is recorded of a change, and what the user is told
epochs          numbered ends of the sessions of an app's own users
enrolled        what a user has
registry        factors listed, added, renamed, removed, reset
"""
