"""Accounts: people and programs that sign in with name and password."""
