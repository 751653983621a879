"""Which users need a second factor."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from watchword.ports.credentials import Credential


class SecondFactorPolicy:
    """`WATCHWORD_SECOND_FACTOR`: optional, required, or required of some roles."""

    def __init__(self, setting: str) -> None:
        self._setting = setting

    def demands(self, roles: Collection[str], rows: Iterable[Credential]) -> bool:
        """Whether a user with these roles and credentials needs a second factor.

        An operator's demand (a row of its own) counts as well as the setting.
        """
        raise NotImplementedError
