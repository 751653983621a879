"""Second factors of users: of accounts, and of an app's own users by their subject.

rows            singletons of the table of credentials, sealed contents
policy          which users need a second factor
totp            codes of authenticator apps
recovery_codes  codes on paper, each of which works once
passkeys        registered and asked for, each challenge once
passkey_uses    their counters
webauthn        what they are asked and say; the only module that knows the library
prove           one attempt with any of them, counted
alarms          what the owner is told of wrong ones
epochs          numbered ends of the sessions of an app's own users
registry        factors listed, added, renamed, removed, reset
"""
