"""Who may sign in: authenticate, register, change, and the throttle before the hash.

Unknown name, wrong password and disabled account cost the same and look the same.
Whatever must end an account's sessions first commits a new `epoch`, then ends them; a
sign-in that was under way reads the account again and takes its session back.
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
from watchword.background import Background
from watchword.core import limits
from watchword.core.actor import APP, By, EndReason
from watchword.core.network import caller_of
from watchword.core.session import (
    ALL,
    Asked,
    Grant,
    Terms,
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
from watchword.failures import EventLimit
from watchword.passwords import UNUSABLE, PasswordHasher, is_unusable, recognised
from watchword.ports import Account, Clock, Entropy, Event, EventType, Store

CONTEXT: Final = ("watchword",)
"""Words that a password must not be made of, beside the name of its account."""

# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties) beyond category C:
# letters and marks that show nothing, so that two names would look the same.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164"
    "\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class SessionsOfAccounts(Protocol):
    """What accounts ask of sessions; `sessions.Sessions` has it."""

    async def start(
        self,
        account_id: bytes,
        roles: tuple[str, ...],
        terms: Terms,
        *,
        asked: Asked = ALL,
        address: str = "",
        user_agent: str = "",
    ) -> Grant:
        """A new session."""

    def taken_back_on_failure(
        self, session_id: bytes, address: str
    ) -> AbstractAsyncContextManager[None]:
        """End the session where the rest of the sign-in fails."""

    async def end_all(
        self, account_id: bytes, reason: str, *, but: bytes | None = None, by: By = APP
    ) -> int:
        """End all sessions of an account, or all but one."""

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give the account's live sessions these roles."""


class Accounts:
    """Accounts and their passwords.

    Verbs that change an account take its name or its id (16 bytes). A name is looked up
    once: an account that is made under that name meanwhile is another one. `by` is the
    caller, for the audit log; an application need not give it.
    """

    def __init__(
        self,
        *,
        store: Store,
        sessions: SessionsOfAccounts,
        hasher: PasswordHasher,
        background: Background,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy
        self._events = EventLimit(store.record)
        self._attempts = Attempts(store, self._events, background)

    async def sign_in(
        self,
        name: str,
        password: str,
        terms: Terms,
        *,
        asked: Asked = ALL,
        address: str = "",
        user_agent: str = "",
        prove: Callable[[], Awaitable[None]] | None = None,
    ) -> Grant:
        """A new session for the right name and password.

        Raises InvalidCredentials without saying why, InvalidRequest for a name that
        none could have; Throttled, Overloaded, StoreUnavailable. `prove` is what else
        the caller has to prove, and may raise: it comes after the password, since it
        writes, and only those who have an account may cause that.
        """
        account = await self.authenticate(name, password, address=address)
        if prove is not None:
            await prove()
        grant = await self._sessions.start(
            account.id,
            account.roles,
            terms,
            asked=asked,
            address=address,
            user_agent=user_agent,
        )
        async with self._sessions.taken_back_on_failure(grant.session.id, address):
            await self._look_again(account)
        return grant

    async def _look_again(self, account: Account) -> None:
        """Raises InvalidCredentials where the account is not what was checked.

        Disabled, deleted or given another password since: that ended the sessions which
        were there, and may have missed the one that has just begun.
        """
        current = await self._store.account_by_id(account.id)
        if current is None or current.epoch != account.epoch:
            raise InvalidCredentials
        if current.roles != account.roles:
            await self._give_roles(account.id)

    async def authenticate(
        self, name: str, password: str, *, address: str = ""
    ) -> Account:
        """The account of that name, if this is its password.

        Every attempt is counted before the hash, so that parallel ones cannot slip
        past, and one that succeeds is given back: only failures remain.
        """
        name = normalise_name(name)
        now = self._clock()
        costs = throttle_costs(name, address)
        account = None
        try:
            async with self._attempts.counted(costs, address, now):
                account = await self._store.account_by_name(name)
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
                    # The name is not recorded: people type passwords into that field.
                    account_id=None if account is None else account.id,
                    address=address,
                )
            )
            raise
        if account is None:
            raise InvalidCredentials
        if rehash is not None:
            better = _changed(account, password_hash=rehash)
            await self._store.swap_account(account, better, None)
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

        `subject` is the user's id there, where that is to stay. A hash that begins with
        "!" is of an account without a password, which cannot sign in until it has one.
        Raises PasswordRejected for a hash that could not be checked, NameTaken,
        InvalidRequest.
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
        await self._store.add_account(account, event)
        return account

    async def get(self, name: str) -> Account:
        """The account of that name. Raises NotFound."""
        account = await self._store.account_by_name(normalise_name(name))
        if account is None:
            message = f"there is no account named {name!r}"
            raise NotFound(message)
        return account

    async def get_by_subject(self, subject: str | uuid.UUID) -> Account:
        """The account that a token's `sub` means. Raises NotFound.

        Also for the token of a client, which no account stands behind.
        """
        account_id = from_text(str(subject))
        account = account_id and await self._store.account_by_id(account_id)
        if not account:
            raise NotFound("there is no account of that subject")
        return account

    async def _id_of(self, account: str | bytes) -> bytes:
        return account if isinstance(account, bytes) else (await self.get(account)).id

    async def is_empty(self) -> bool:
        """Whether there is no account at all."""
        return not await self._store.list_accounts(limit=1)

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts in order of name."""
        return await self._store.list_accounts(after=after, limit=limit)

    async def set_password(
        self,
        account: str | bytes,
        password: str,
        *,
        keep_session: bytes | str | None = None,
        by: By = APP,
    ) -> int:
        """Change the password and end the account's sessions (but one); how many.

        `keep_session` is the id of that one, or the `sid` of its access tokens. Raises
        NotFound, PasswordRejected.
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
        """Let the account sign in no more and end its sessions; how many.

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
        """Let the account sign in again. Old sessions stay dead. Raises NotFound."""
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
        """Replace the account's roles; its sessions have them from the next refresh.

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
        """Give the account's sessions the roles that it has.

        Read again afterwards: of two that change roles at once, the later account row
        counts, whoever reaches the sessions last.
        """
        given = None
        while True:
            account = await self._store.account_by_id(account_id)
            if account is None or account.roles == given:
                return
            given = account.roles
            await self._sessions.assign_roles(account_id, given)

    async def delete(self, account: str | bytes, *, by: By = APP) -> int:
        """Remove the account and end its sessions; how many. Raises NotFound.

        An account made later under that name is another: its subject differs.
        """
        account_id = await self._id_of(account)
        # Disabled first: cut off half-way, this can be said again and finishes, where
        # sessions of an account that is gone could no longer be named.
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
        """Change the row as it is when it is written. Raises NotFound."""
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self._current(account_id)
            event = Event(
                type=kind,
                at=self._clock(),
                account_id=account_id,
                address=by.address,
                detail=by.detail(change=what),
            )
            if await self._store.swap_account(before, change(before), event):
                return
        raise StoreUnavailable

    async def _current(self, account_id: bytes) -> Account:
        account = await self._store.account_by_id(account_id)
        if account is None:
            raise NotFound("there is no such account any more")
        return account


def _changed(account: Account, **fields: object) -> Account:
    return msgspec.structs.replace(account, version=account.version + 1, **fields)


def normalise_name(name: str) -> str:
    """The one spelling under which a name is stored, looked up and throttled.

    NFKC and case-folded, blanks around it dropped. Raises InvalidRequest for a name
    that is empty, too long, or has characters that cannot be seen.
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
    """Roles without repetition, in order. Raises InvalidRequest."""
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
    """The counters of one attempt: its name's and its address's.

    A name counts whether it exists or not; IPv6 counts by /64, which is what one
    customer has.
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
