"""The front door: from what a user proves to a session."""
