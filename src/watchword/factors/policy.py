"""Which users need a second factor."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from watchword.ports.credentials import Credential, CredentialKind


class SecondFactorPolicy:
    """`WATCHWORD_SECOND_FACTOR`: optional, required, or required of some roles.

    `setting` is as the settings have checked it: `optional`, `required`, or
    `required:` and roles that are separated by commas.
    """

    def __init__(self, setting: str) -> None:
        demand, _, roles = setting.partition(":")
        self._roles = frozenset(roles.split(",")) - {""}
        self._of_all = demand == "required" and not self._roles

    def demands(self, roles: Collection[str], rows: Iterable[Credential]) -> bool:
        """Whether a user with these roles and credentials needs a second factor.

        An operator's demand (a row of its own) counts as well as the setting.
        """
        return (
            self._of_all
            or not self._roles.isdisjoint(roles)
            or any(row.kind is CredentialKind.DEMAND for row in rows)
        )
