"""Whom the apps of these tests know."""

from tests.integrations.stories import NAME, PASSWORD
from watchword import Credentials, Subject


def check(given: Credentials) -> Subject | None:
    right = (given.username, given.password) == (NAME, PASSWORD)
    return Subject(7) if right else None
