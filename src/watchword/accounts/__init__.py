"""Accounts: people and programs that sign in with name and password.

names           what a user name, a role and a password may be
rows            their rows, changed as they are at the moment of the write
session_roles   the sessions of an account get its roles
registry        accounts: made, imported, changed, listed, deleted
managing        accounts made and changed by operators, several things at once
registration    users register themselves; registration_rules says which ones may
invitations     an operator invites an address
recovery        a password is reset by mail
email_change    the mail address is changed, and taken back
links           what the token of a mail is for
mail_decisions  what becomes of a mail when its turn comes
account_limits  how often callers may try, and users change their account
new_networks    mails that tell of a sign-in from elsewhere
"""
