"""Second factors of users: of accounts, and of an app's own users by their subject.

rows            singletons of the table of credentials, sealed contents
policy          which users need a second factor
totp            codes of authenticator apps
recovery_codes  codes on paper, each of which works once
passkeys        WebAuthn; the only module that knows its library
prove           one attempt with any of them, counted
alarms          what the owner is told of wrong ones
registry        factors listed, added, renamed, removed, reset
"""
