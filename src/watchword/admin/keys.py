"""Signing keys, as operators see and change them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.admin.operators import Operator
from watchword.core import limits
from watchword.keys.ring import KeyRing, life_of
from watchword.ports.keys import KeyState, KeyUse, SealedKey


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A key without what is secret of it. Instants are in milliseconds.

    `since` is when it came into its state. `until` is when the next one takes the place
    of an active one, and when a retired one is published no more; None for a next one.
    """

    kid: str
    use: KeyUse
    alg: str
    state: KeyState
    since: int
    until: int | None


class KeyAdmin:
    """Lists keys, rotates and retires them."""

    def __init__(self, *, keys: KeyRing) -> None:
        self._keys = keys

    async def list(self) -> Sequence[KeyInfo]:
        """The keys as they are now: those of access tokens first, next ones in front.

        Raises StoreUnavailable, KeyRingError.
        """
        await self._keys.refresh()
        found = [
            KeyInfo(
                kid=row.kid,
                use=row.use,
                alg=row.alg,
                state=row.state,
                since=row.changed_at,
                until=_until(row),
            )
            for row in self._keys.rows
        ]
        uses, states = list(KeyUse), list(KeyState)
        found.sort(
            key=lambda one: (uses.index(one.use), states.index(one.state), -one.since)
        )
        return found

    async def rotate(
        self, operator: Operator, use: KeyUse = KeyUse.ACCESS_TOKEN
    ) -> str:
        """Sign with the next key of this use; returns its id.

        Raises NotFound, KeyNotReady, StoreUnavailable.
        """
        return await self._keys.rotate(use, by=operator.by)

    async def retire(self, operator: Operator, kid: str) -> None:
        """Drop a key that has leaked: every token that it signed is refused at once.

        An active one too: the next key takes its place. Raises NotFound,
        StoreUnavailable.
        """
        await self._keys.retire(kid, by=operator.by)


def _until(row: SealedKey) -> int | None:
    if row.state is KeyState.ACTIVE:
        return row.changed_at + limits.KEY_ROTATION
    return row.changed_at + life_of(row.use) if row.state is KeyState.RETIRED else None
