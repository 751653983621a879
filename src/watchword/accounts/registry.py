"""Accounts: authenticate, register, change; and the throttle before the hash.

An unknown name, a wrong password and a disabled account cost the same and look the
same. A change that must end an account's sessions first commits a new `epoch`, then
ends the sessions. A sign-in that was under way meanwhile reads the account again, sees
the new epoch and ends the session that it has just begun.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import uuid
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from watchword.attempts import Attempts
from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, By, EndReason
from watchword.core.network import caller_of
from watchword.core.session import (
    EVERYTHING,
    RequestedToken,
    SessionOptions,
    TokenSet,
    from_text,
    time_ordered_id,
)
from watchword.core.throttle import Cost
from watchword.errors import (
    InvalidCredentials,
    InvalidRequest,
    NameTaken,
    NotFound,
    PasswordRejected,
    StoreUnavailable,
)
from watchword.passwords import UNUSABLE, PasswordHasher, is_unusable, recognised
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.throttle import Throttle

CONTEXT: Final = ("watchword",)
"""Words that a password must not be made of, besides the name of its account."""

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties) outside category C.
# These letters and marks are not displayed, so two different names would look the same.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164"
    "\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class SessionsOfAccounts(Protocol):
    """The methods of `sessions.Sessions` that accounts use."""

    async def start(
        self,
        account_id: bytes,
        roles: tuple[str, ...],
        options: SessionOptions,
        *,
        requested: RequestedToken = EVERYTHING,
        address: str = "",
        user_agent: str = "",
    ) -> TokenSet:
        """A new session, with its first tokens."""

    def taken_back_on_failure(
        self, session_id: bytes, address: str
    ) -> AbstractAsyncContextManager[None]:
        """A block for the rest of the sign-in: if it fails, the session is ended."""

    async def end_all(
        self, account_id: bytes, reason: str, *, but: bytes | None = None, by: By = APP
    ) -> int:
        """End all sessions of an account, or all but one. Returns how many."""

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give the account's live sessions these roles."""


class Accounts:
    """Accounts and their passwords.

    Methods that change an account take its name or its id (16 bytes). A name is looked
    up once. An account that is made under the same name meanwhile is a different
    account and is left alone. `by` is the caller, for the audit log; an application may
    leave it out.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        throttle: Throttle,
        audit: AuditLog,
        sessions: SessionsOfAccounts,
        hasher: PasswordHasher,
        background: Background,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = accounts
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy
        self._events = AuditLimit(audit.record)
        self._attempts = Attempts(throttle, self._events, background)

    async def sign_in(
        self,
        name: str,
        password: str,
        options: SessionOptions,
        *,
        requested: RequestedToken = EVERYTHING,
        address: str = "",
        user_agent: str = "",
        prove: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenSet:
        """A new session for the right name and password.

        Raises InvalidCredentials without saying why, InvalidRequest for a name that no
        account could have, Throttled, Overloaded, StoreUnavailable. `prove` checks
        whatever else the caller has to prove, and may raise. It is called after the
        password has been checked, because it writes: only a person with an account may
        cause a write.
        """
        account = await self.authenticate(name, password, address=address)
        if prove is not None:
            await prove()
        grant = await self._sessions.start(
            account.id,
            account.roles,
            options,
            requested=requested,
            address=address,
            user_agent=user_agent,
        )
        async with self._sessions.taken_back_on_failure(grant.session.id, address):
            await self._look_again(account)
        return grant

    async def _look_again(self, account: Account) -> None:
        """Raises InvalidCredentials if the account has changed since it was checked.

        It may have been disabled, deleted or given another password. Each of these ends
        the sessions that exist at that moment, and may have missed the session that has
        just begun.
        """
        current = await self._store.by_id(account.id)
        if current is None or current.epoch != account.epoch:
            raise InvalidCredentials
        if current.roles != account.roles:
            await self._give_roles(account.id)

    async def authenticate(
        self, name: str, password: str, *, address: str = ""
    ) -> Account:
        """The account of that name, if this is its password.

        Every attempt is counted before the password is hashed, so that parallel
        attempts cannot pass the limit. An attempt that succeeds is taken off the count
        again, so only failures remain. Raises InvalidCredentials, InvalidRequest,
        Throttled, Overloaded, StoreUnavailable.
        """
        name = normalise_name(name)
        now = self._clock()
        costs = throttle_costs(name, address)
        account = None
        try:
            async with self._attempts.counted(costs, address, now):
                account = await self._store.by_name(name)
                able = account is not None and not account.disabled
                stored = account.password_hash if account is not None and able else None
                rehash = await self._hasher.verify(
                    stored, password, address=costs[1].key
                )
        except InvalidCredentials:
            await self._events.record(
                Event(
                    type=EventType.SIGN_IN_FAILED,
                    at=now,
                    # The name is not recorded, because people sometimes type their
                    # password into that field.
                    account_id=None if account is None else account.id,
                    address=address,
                )
            )
            raise
        if account is None:
            raise InvalidCredentials
        if rehash is not None:
            better = _changed(account, password_hash=rehash)
            await self._store.swap(account, better, None)
        return account

    async def register(
        self, name: str, password: str, *, roles: Iterable[str] = (), by: By = APP
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        name = normalise_name(name)
        hashed = await self._hasher.hash(password, names=(name, *CONTEXT))
        return await self._add(name, hashed, roles, by)

    async def import_hash(
        self,
        name: str,
        password_hash: str,
        *,
        roles: Iterable[str] = (),
        subject: uuid.UUID | None = None,
        by: By = APP,
    ) -> Account:
        """A new account with the hash of another system, rehashed at first sign-in.

        `subject` is the user's id in that system, if the user is to keep it. A hash
        that begins with "!" means that the account has no password: it cannot sign in
        until it is given one. Raises PasswordRejected for a hash that cannot be
        checked, NameTaken, InvalidRequest.
        """
        if is_unusable(password_hash):
            password_hash = UNUSABLE
        elif not recognised(password_hash):
            message = "the hash is of no known form or too costly to check"
            raise PasswordRejected(message)
        kept = None if subject is None else subject.bytes
        try:
            return await self._add(normalise_name(name), password_hash, roles, by, kept)
        except NameTaken:
            if kept is None:
                raise
            raise NameTaken("An account of that name or subject exists.") from None

    async def _add(
        self,
        name: str,
        password_hash: str,
        roles: Iterable[str],
        by: By,
        account_id: bytes | None = None,
    ) -> Account:
        now = self._clock()
        account = Account(
            account_id or time_ordered_id(now, self._entropy(10)),
            name,
            password_hash,
            checked_roles(roles),
            now,
        )
        event = Event(
            type=EventType.ACCOUNT_CREATED,
            at=now,
            account_id=account.id,
            address=by.address,
            detail=by.detail(),
        )
        await self._store.add(account, event)
        return account

    async def get(self, name: str) -> Account:
        """The account of that name. Raises NotFound."""
        account = await self._store.by_name(normalise_name(name))
        if account is None:
            message = f"there is no account named {name!r}"
            raise NotFound(message)
        return account

    async def get_by_subject(self, subject: str | uuid.UUID) -> Account:
        """The account that a token's `sub` names. Raises NotFound.

        NotFound is raised for the token of a client too: a client has no account.
        """
        account_id = from_text(str(subject))
        account = account_id and await self._store.by_id(account_id)
        if not account:
            raise NotFound("there is no account of that subject")
        return account

    async def _id_of(self, account: str | bytes) -> bytes:
        return account if isinstance(account, bytes) else (await self.get(account)).id

    async def is_empty(self) -> bool:
        """Whether there is no account at all."""
        return not await self._store.list(limit=1)

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Account]:
        """At most `limit` accounts in order of name, beginning behind `after`."""
        return await self._store.list(after=after, limit=limit)

    async def set_password(
        self,
        account: str | bytes,
        password: str,
        *,
        keep_session: bytes | str | None = None,
        by: By = APP,
    ) -> int:
        """Change the password, end the account's sessions, and return how many.

        `keep_session` names one session that is not ended: by its id, or by the `sid`
        of its access tokens. Raises NotFound, PasswordRejected.
        """
        if isinstance(keep_session, str):
            keep_session = from_text(keep_session)
        account_id = await self._id_of(account)
        names = ((await self._current(account_id)).name, *CONTEXT)
        hashed = await self._hasher.hash(password, names=names)
        await self._update(
            account_id,
            lambda row: _changed(row, password_hash=hashed, epoch=row.epoch + 1),
            EventType.PASSWORD_CHANGED,
            "password",
            by,
        )
        return await self._sessions.end_all(
            account_id, EndReason.PASSWORD_CHANGED, but=keep_session, by=by
        )

    async def disable(self, account: str | bytes, *, by: By = APP) -> int:
        """Refuse the account from now on, end its sessions, and return how many.

        Raises NotFound.
        """
        account_id = await self._id_of(account)
        return await self._disable(account_id, EndReason.ACCOUNT_DISABLED, by)

    async def _disable(self, account_id: bytes, reason: EndReason, by: By) -> int:
        await self._update(
            account_id,
            lambda row: _changed(row, disabled=True, epoch=row.epoch + 1),
            EventType.ACCOUNT_CHANGED,
            "disabled",
            by,
        )
        return await self._sessions.end_all(account_id, reason, by=by)

    async def enable(self, account: str | bytes, *, by: By = APP) -> None:
        """Let the account sign in again. Ended sessions stay so. Raises NotFound."""
        await self._update(
            await self._id_of(account),
            lambda row: _changed(row, disabled=False),
            EventType.ACCOUNT_CHANGED,
            "enabled",
            by,
        )

    async def set_roles(
        self, account: str | bytes, roles: Iterable[str], *, by: By = APP
    ) -> None:
        """Replace the account's roles. Its sessions get them at their next refresh.

        Raises NotFound, InvalidRequest.
        """
        wanted = checked_roles(roles)
        account_id = await self._id_of(account)
        await self._update(
            account_id,
            lambda row: _changed(row, roles=wanted),
            EventType.ACCOUNT_CHANGED,
            "roles",
            by,
        )
        await self._give_roles(account_id)

    async def _give_roles(self, account_id: bytes) -> None:
        """Give the account's sessions the roles that the account has.

        Two callers may change the roles at once, and the one that wrote the account
        first may reach the sessions last. So the account is read again afterwards,
        until its sessions have the roles of the latest account row.
        """
        given = None
        while True:
            account = await self._store.by_id(account_id)
            if account is None or account.roles == given:
                return
            given = account.roles
            await self._sessions.assign_roles(account_id, given)

    async def delete(self, account: str | bytes, *, by: By = APP) -> int:
        """Remove the account, end its sessions, and return how many. Raises NotFound.

        An account that is made later under the same name has another subject: it is a
        different account.
        """
        account_id = await self._id_of(account)
        # The account is disabled first. If this is cut off half-way, it can be called
        # again and finishes. If the account were deleted first, its sessions could no
        # longer be found by its name.
        count = await self._disable(account_id, EndReason.ACCOUNT_DELETED, by)
        await self._update(
            account_id, lambda _: None, EventType.ACCOUNT_DELETED, "deleted", by
        )
        return count

    async def _update(
        self,
        account_id: bytes,
        change: Callable[[Account], Account | None],
        kind: EventType,
        what: str,
        by: By,
    ) -> None:
        """Apply `change` to the row as it is at the moment of the write.

        A row that another caller has changed meanwhile is read and changed again.
        Raises NotFound, StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self._current(account_id)
            event = Event(
                type=kind,
                at=self._clock(),
                account_id=account_id,
                address=by.address,
                detail=by.detail(change=what),
            )
            if await self._store.swap(before, change(before), event):
                return
        raise StoreUnavailable

    async def _current(self, account_id: bytes) -> Account:
        account = await self._store.by_id(account_id)
        if account is None:
            raise NotFound("there is no such account any more")
        return account


def _changed(account: Account, **fields: object) -> Account:
    return msgspec.structs.replace(account, version=account.version + 1, **fields)


def normalise_name(name: str) -> str:
    """The one spelling under which a name is stored, looked up and throttled.

    The name is normalised to NFKC, case-folded and stripped of blanks around it. Raises
    InvalidRequest for a name that is empty, too long, or has characters that cannot be
    seen.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    folded = unicodedata.normalize("NFKC", folded).strip()
    if not 0 < len(folded) <= limits.USER_NAME_MAX:
        message = f"A user name has 1 to {limits.USER_NAME_MAX} characters."
        raise InvalidRequest(message)
    if any(unicodedata.category(char)[0] == "C" for char in folded) or (
        _INVISIBLE.search(folded)
    ):
        message = "A user name cannot contain control or invisible characters."
        raise InvalidRequest(message)
    return folded


def checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """The roles without repetition, in the order given. Raises InvalidRequest."""
    found = tuple(dict.fromkeys(roles))
    if len(found) > limits.ROLES_MAX:
        message = f"An account has at most {limits.ROLES_MAX} roles."
        raise InvalidRequest(message)
    for role in found:
        if (
            not role
            or not role.isascii()
            or not role.isprintable()
            or (len(role) > limits.ROLE_MAX or set(role) & set(' "\\'))
        ):
            message = (
                f"A role is 1 to {limits.ROLE_MAX} visible ASCII characters without "
                "blank, quote or backslash."
            )
            raise InvalidRequest(message)
    return found


def throttle_costs(name: str, address: str) -> tuple[Cost, Cost]:
    """The counters of one attempt: that of its name, then that of its address.

    A name is counted whether or not there is such an account. IPv6 addresses are
    counted by /64, because that is what one customer of a provider has.
    """
    spelled = hashlib.sha256(name.encode()).hexdigest()[:32]
    return (
        Cost(
            f"name:{spelled}",
            limits.THROTTLE_NAME_BURST,
            limits.THROTTLE_NAME_INTERVAL,
        ),
        Cost(
            f"address:{caller_of(address)}",
            limits.THROTTLE_ADDRESS_BURST,
            limits.THROTTLE_ADDRESS_INTERVAL,
        ),
    )
