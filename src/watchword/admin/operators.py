"""The caller of an admin verb, and what it may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import msgspec

from watchword.core import limits
from watchword.core.actor import By
from watchword.errors import InsufficientRole, StoreUnavailable, VersionChanged

Done = TypeVar("Done")


class Operator(msgspec.Struct, frozen=True):
    """A user with the admin role, or a client with a right.

    `by` goes into events. `account_id` is the user's own; None for a client.
    """

    by: By
    account_id: bytes | None

    @property
    def is_client(self) -> bool:
        """Whether it is a client: then accounts of admins are out of its reach."""
        return self.account_id is None

    def need_user(self) -> None:
        """Raises InsufficientRole for a client: for rights and webhooks."""
        if self.is_client:
            raise InsufficientRole("Only a user with the admin role may do that.")

    def need_reach(self, roles: Iterable[str], admin_role: str) -> None:
        """Raises InsufficientRole for a client where `roles` have the admin role.

        For accounts that it would change, and for roles that it would give.
        """
        if self.is_client and admin_role in roles:
            raise InsufficientRole(
                "A client may neither change an account of the admin role nor give it."
            )


async def at_version(
    version: int | None, attempt: Callable[[], Awaitable[Done]]
) -> Done:
    """What `attempt` returns, which reads a row and writes it at that very version.

    Where any version will do (None), a row that another caller has changed meanwhile is
    read and written again. Raises VersionChanged, StoreUnavailable.
    """
    for _ in range(limits.SWAP_ATTEMPTS):
        try:
            return await attempt()
        except VersionChanged:
            if version is not None:
                raise
    raise StoreUnavailable
