"""Accounts: people and programs that sign in with name and password.

names     what a user name and a role may be, and the one spelling of a name
registry  accounts: registered, imported, changed, listed
"""
