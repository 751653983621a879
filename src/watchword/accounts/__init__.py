"""Accounts: people and programs that sign in with name and password.

names               what a user name and a role may be, and the one spelling of a name
rows                rows of accounts, read and changed
registry            accounts: registered, imported, changed, listed
registration        users register themselves
registration_rules  which users may
invitations         an operator lets users in
recovery            a forgotten password
email_change        another address, and the way back to the one before
links               what the token of a mail is for
network_limits      how often one network may ask
notices             mails that tell of a change to an account
new_networks        mails that tell of a sign-in from elsewhere
mail_decisions      which part decides what becomes of a mail
"""
