"""The epochs of an app's own users, whose accounts are in no table of ours.

Each end of all sessions of a user has a number. A sign-in reads the newest number, of
any user, before the app's check. Once its session stands, it looks at the number of the
user's own last end: a greater one ended the session's user meanwhile.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.errors import StoreUnavailable, VersionChanged
from watchword.factors.rows import singleton_id
from watchword.ports.accounts import AccountStore
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential, CredentialKind, CredentialStore

# The row of all users. No user's row has this key, since users' ids have 16 bytes.
_ALL: Final = b"all"
_ALL_USERS: Final = bytes(16)
# Ends of one user at once: most of them have the same number, which one of them writes.
_ATTEMPTS: Final = 10
_KIND: Final = CredentialKind.EPOCH


class Epochs:
    """The numbers of ends, in the store: they count over all processes."""

    def __init__(self, credentials: CredentialStore, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    async def newest(self) -> int:
        """The number of the last end, of any user; 0 where there was none."""
        return await self._read(_ALL)

    async def last_of(self, account_id: bytes) -> int:
        """The number of that user's last end; 0 where there was none."""
        return await self._read(account_id)

    async def note(self, account_id: bytes) -> None:
        """Number an end of all sessions of that user, before they end.

        The number is greater than any that a sign-in has read before this call. Two
        ends at once may have the same one. Raises StoreUnavailable.
        """
        number = await self.newest() + 1
        # In this order: a sign-in that begins in between has read the new number, and
        # is not refused for this end.
        await self._raise(_ALL, _ALL_USERS, number)
        await self._raise(account_id, account_id, number)

    async def _read(self, key: bytes) -> int:
        row = await self._credentials.by_key(_KIND, key)
        return 0 if row is None else row.step

    async def _raise(self, key: bytes, account_id: bytes, number: int) -> None:
        """Make sure that the row has that number, or a greater one.

        Raises StoreUnavailable where other ends were first again and again.
        """
        for _ in range(_ATTEMPTS):
            row = await self._credentials.by_key(_KIND, key)
            if row is None:
                first = Credential(
                    id=singleton_id(_KIND, key),
                    account_id=account_id,
                    kind=_KIND,
                    created_at=self._clock(),
                    key=key,
                    step=number,
                )
                done = await self._credentials.add([first], Trail())
            elif row.step >= number:
                return
            else:
                after = msgspec.structs.replace(
                    row, step=number, version=row.version + 1
                )
                done = await self._credentials.swap(row, after, Trail())
            if done:
                return
        raise StoreUnavailable


class UserEnds:
    """Ends of all sessions of a user, of an account or of an app's own user alike."""

    def __init__(self, accounts: AccountStore, epochs: Epochs) -> None:
        self._accounts = accounts
        self._epochs = epochs

    async def note(self, account_id: bytes, *, version: int | None = None) -> None:
        """Raise the user's epoch, before its sessions end.

        With a `version`, only of that version of the account. Raises VersionChanged
        otherwise; StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            row = await self._accounts.by_id(account_id)
            if row is None:
                return await self._epochs.note(account_id)
            if version not in {None, row.version}:
                raise VersionChanged
            after = msgspec.structs.replace(
                row, epoch=row.epoch + 1, version=row.version + 1
            )
            if await self._accounts.swap(row, after, Trail()):
                return None
        raise StoreUnavailable
