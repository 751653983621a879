"""A package: its Chromium is one for all of it."""
