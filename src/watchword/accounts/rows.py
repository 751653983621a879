"""Rows of accounts: read, and changed as they are at the moment of the write."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec

from watchword.accounts.names import chosen_name, normalise_name
from watchword.background import Background
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
from watchword.errors import (
    InvalidRequest,
    NotFound,
    StoreUnavailable,
    TryAgain,
    VersionChanged,
)
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.confirmations import Confirmation
from watchword.ports.credentials import Spending
from watchword.ports.outbox import Message
from watchword.sessions import Sessions


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a row, and what is written with it. `after` None deletes it.

    Factors of the account that are not older than `drops_factors_after` (ms) go.
    """

    after: Account | None
    outbox: tuple[Message, ...] = ()
    grants: tuple[Confirmation, ...] = ()
    drops_factors_after: int | None = None


class AccountRows:
    """Reads and changes rows of accounts, and ends sessions with such a change.

    One enabled account of the role `admin_role` always stays.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        sessions: Sessions,
        background: Background,
        clock: Clock,
        admin_role: str,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._background = background
        self._clock = clock
        self._admin_role = admin_role

    async def current(self, account_id: object) -> Account:
        """The account of that id. Raises NotFound, and TypeError for a name."""
        # Programs without types may give the name, which each store takes otherwise.
        if not isinstance(account_id, bytes):
            message = (
                "an account's id is bytes: take it from `await accounts.get(name)`"
            )
            raise TypeError(message)
        account = await self._accounts.by_id(account_id)
        if account is None:
            raise NotFound("there is no such account any more")
        return account

    async def add(self, account: Account, by: By) -> None:
        """Write a new account. Raises NameTaken, EmailTaken.

        Only a user is refused what another account let go in the last 90 days.
        """
        event = Event(
            type=EventType.ACCOUNT_CREATED,
            at=account.created_at,
            account_id=account.id,
            address=by.address,
            detail=by.detail(),
        )
        await self._accounts.add(
            account, Trail((event,)), ignore_holds=by.actor is not Actor.USER
        )

    async def update(
        self,
        account_id: bytes,
        change: Callable[[Account], Awaitable[Change]],
        kind: EventType,
        what: str,
        by: By,
        *,
        spends: bytes | None = None,
        spends_code: Spending | None = None,
        version: int | None = None,
    ) -> Account:
        """Apply `change` to the row, and return the row as it is afterwards.

        A row that another caller has changed meanwhile is read and changed again, but
        with a `version` only that one is changed: VersionChanged is raised otherwise.
        Where the row is deleted, it is returned as it was. Raises NotFound, LastAdmin,
        NameTaken, EmailTaken, ConfirmationInvalid, StoreUnavailable;
        SecondFactorInvalid where a recovery code is gone that was to be spent.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self.current(account_id)
            if version not in {None, before.version}:
                raise VersionChanged
            step = await change(before)
            event = Event(
                type=kind,
                at=self._clock(),
                account_id=account_id,
                address=by.address,
                detail=by.detail(change=what),
            )
            told = Trail() if spends_code is None else spends_code.trail
            if await self._accounts.swap(
                before,
                step.after,
                Trail((event, *told.events), (*step.outbox, *told.outbox)),
                spends=spends,
                spends_code=None if spends_code is None else spends_code.credential,
                drops_factors_after=step.drops_factors_after,
                grants=step.grants,
                ignore_holds=by.actor is not Actor.USER,
                keeps_role=self._given_up(before, step.after),
            ):
                return step.after or before
        raise StoreUnavailable

    def _given_up(self, before: Account, after: Account | None) -> str | None:
        """The admin role, where this account is no longer an enabled one of it."""
        role = self._admin_role
        if before.disabled or role not in before.roles:
            return None
        stays = after is not None and not after.disabled and role in after.roles
        return None if stays else role

    @contextlib.asynccontextmanager
    async def ending(
        self, account_id: bytes, *, but: bytes | None = None, by: By
    ) -> AsyncIterator[list[int]]:
        """A block that changes the password: all sessions of the account end.

        They end before it: if this process is lost with the write, none of them lives
        on. Those that began meanwhile end after it, also where the answer to the write
        is lost. The list has how many have ended.
        """
        what = "ending the sessions of an account"
        end = partial(
            self._sessions.end_all,
            account_id,
            EndReason.PASSWORD_CHANGED,
            but=but,
            by=by,
        )
        ended = [await end()]
        async with self.finished(end, what):
            yield ended
        with contextlib.suppress(TryAgain):  # the change is written
            async with self.finished(end, what):
                ended.append(await end())

    @contextlib.asynccontextmanager
    async def finished(
        self, work: Callable[[], Awaitable[object]], what: str
    ) -> AsyncIterator[None]:
        """A block that does work which its caller may not be able to ask for again.

        If it fails because the store is away, or its request is cancelled, the work is
        tried again without the caller.
        """

        async def again() -> None:
            with contextlib.suppress(NotFound):  # the caller has asked again after all
                await work()

        try:
            yield
        except (TryAgain, asyncio.CancelledError):
            self._background.start(again, what)
            raise


def changed(account: Account, **fields: object) -> Account:
    """The account with these fields, as its next version."""
    return msgspec.structs.replace(account, version=account.version + 1, **fields)


def renamed(account: Account, username: str, by: By) -> str:
    """The name of the account when it is given `username`; with "" its address.

    Raises NameInvalid, InvalidRequest.
    """
    if username:
        by_user = by.actor is Actor.USER
        return chosen_name(username) if by_user else normalise_name(username)
    if account.email_key is None:
        message = "An account without a confirmed mail address needs a user name."
        raise InvalidRequest(message)
    return account.email_key
