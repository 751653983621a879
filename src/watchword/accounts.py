"""Who may sign in: authenticate, register, change, and the throttle before the hash.

Unknown name, wrong password and disabled account cost the same and look the same.
Whatever must end an account's sessions first commits a new `epoch`, then ends them; a
sign-in that was under way reads the account again and takes its session back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from watchword.core import limits
from watchword.core.session import ALL, Asked, Grant, Terms, time_ordered_id
from watchword.core.throttle import Cost
from watchword.errors import (
    InvalidCredentials,
    InvalidRequest,
    NameTaken,
    NotFound,
    PasswordRejected,
    StoreUnavailable,
    Throttled,
    TryAgain,
)
from watchword.failures import Seldom, network_of
from watchword.passwords import (
    UNUSABLE,
    PasswordHasher,
    check_new_password,
    is_unusable,
    recognised,
)
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

    async def end_one(self, session_id: bytes, reason: str, *, address: str) -> int:
        """End one session."""

    async def end_all(
        self, account_id: bytes, reason: str, *, but: bytes | None = None
    ) -> int:
        """End all sessions of an account, or all but one."""

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give the account's live sessions these roles."""


class Accounts:
    """Accounts and their passwords."""

    def __init__(
        self,
        *,
        store: Store,
        sessions: SessionsOfAccounts,
        hasher: PasswordHasher,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy
        self._seldom = Seldom()
        self._giving_back: set[asyncio.Task[None]] = set()

    async def sign_in(
        self,
        name: str,
        password: str,
        terms: Terms,
        *,
        asked: Asked = ALL,
        address: str = "",
        user_agent: str = "",
    ) -> Grant:
        """A new session for the right name and password.

        Raises InvalidCredentials without saying why, InvalidRequest for a name that
        none could have; Throttled, Overloaded, StoreUnavailable.
        """
        account = await self.authenticate(name, password, address=address)
        grant = await self._sessions.start(
            account.id,
            account.roles,
            terms,
            asked=asked,
            address=address,
            user_agent=user_agent,
        )
        # Disabled, deleted or given another password since it was checked: whoever
        # changed it ended the sessions that it saw, and may not have seen this one.
        current = await self._store.account_by_id(account.id)
        if current is None or current.epoch != account.epoch:
            await self._sessions.end_one(
                grant.session.id, "taken back", address=address
            )
            raise InvalidCredentials
        if current.roles != account.roles:
            await self._give_roles(account.id)
        return grant

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
        if wait := await self._store.take(costs, now):
            await self._tell_throttled(costs[0].key, address, now)
            raise Throttled(retry_after=wait // 1000 + 1)
        account = None
        try:
            account = await self._store.account_by_name(name)
            able = account is not None and not account.disabled
            stored = account.password_hash if account is not None and able else None
            rehash = await self._hasher.verify(stored, password, address=costs[1].key)
        except InvalidCredentials:
            await self._store.record(
                Event(
                    type=EventType.SIGN_IN_FAILED,
                    at=now,
                    # The name is not recorded: people type passwords into that field.
                    account_id=None if account is None else account.id,
                    address=address,
                )
            )
            raise
        except TryAgain:  # our fault, and no failure of theirs
            # Who waits for the answer need not wait for a store that is away as well.
            task = asyncio.create_task(self._give_back(costs))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)
            raise
        if account is None:
            raise InvalidCredentials
        await self._store.give_back(costs, forget=costs[0].key)
        if rehash is not None:
            better = _changed(account, password_hash=rehash)
            await self._store.swap_account(account, better, None)
        return account

    async def _give_back(self, costs: Sequence[Cost]) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.give_back(costs)

    async def _tell_throttled(self, key: str, address: str, now: int) -> None:
        """Record it once a minute for a name: attempts may flood, events may not."""
        if self._seldom.is_due(key, now):
            kind = EventType.SIGN_IN_THROTTLED
            await self._store.record(Event(type=kind, at=now, address=address))

    async def register(
        self, name: str, password: str, *, roles: Iterable[str] = ()
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest."""
        name = normalise_name(name)
        await self._check_new(password, name)
        return await self._add(name, await self._hasher.hash(password), roles)

    async def import_hash(
        self,
        name: str,
        password_hash: str,
        *,
        roles: Iterable[str] = (),
        subject: uuid.UUID | None = None,
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
            return await self._add(normalise_name(name), password_hash, roles, kept)
        except NameTaken:
            if kept is None:
                raise
            raise NameTaken("An account of that name or subject exists.") from None

    async def _check_new(self, password: str, name: str) -> None:
        # Judging how common a password is takes longer than an event loop should wait.
        await asyncio.to_thread(check_new_password, password, names=(name, *CONTEXT))

    async def _add(
        self,
        name: str,
        password_hash: str,
        roles: Iterable[str],
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
        event = Event(type=EventType.ACCOUNT_CREATED, at=now, account_id=account.id)
        await self._store.add_account(account, event)
        return account

    async def get(self, name: str) -> Account:
        """The account of that name. Raises NotFound."""
        account = await self._store.account_by_name(normalise_name(name))
        if account is None:
            message = f"there is no account named {name!r}"
            raise NotFound(message)
        return account

    async def is_empty(self) -> bool:
        """Whether there is no account at all."""
        return not await self._store.list_accounts(limit=1)

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Account]:
        """Accounts in order of name."""
        return await self._store.list_accounts(after=after, limit=limit)

    async def set_password(
        self, name: str, password: str, *, keep_session: bytes | None = None
    ) -> int:
        """Change the password and end the account's sessions (but one); how many."""
        account = await self.get(name)
        await self._check_new(password, account.name)
        hashed = await self._hasher.hash(password)
        account = await self._update(
            account.name,
            lambda row: _changed(row, password_hash=hashed, epoch=row.epoch + 1),
            EventType.PASSWORD_CHANGED,
            "password",
        )
        return await self._sessions.end_all(
            account.id, "password changed", but=keep_session
        )

    async def disable(self, name: str) -> int:
        """Let the account sign in no more and end its sessions; how many."""
        account = await self._update(
            name,
            lambda row: _changed(row, disabled=True, epoch=row.epoch + 1),
            EventType.ACCOUNT_CHANGED,
            "disabled",
        )
        return await self._sessions.end_all(account.id, "account disabled")

    async def enable(self, name: str) -> None:
        """Let the account sign in again. Old sessions stay dead."""
        await self._update(
            name,
            lambda row: _changed(row, disabled=False),
            EventType.ACCOUNT_CHANGED,
            "enabled",
        )

    async def set_roles(self, name: str, roles: Iterable[str]) -> None:
        """Replace the account's roles; its sessions have them from the next refresh."""
        wanted = checked_roles(roles)
        account = await self._update(
            name,
            lambda row: _changed(row, roles=wanted),
            EventType.ACCOUNT_CHANGED,
            "roles",
        )
        await self._give_roles(account.id)

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

    async def delete(self, name: str) -> int:
        """Remove the account and end its sessions; how many.

        An account made later under that name is another: its subject differs.
        """
        # Disabled first: cut off half-way, this can be said again and finishes, where
        # sessions of an account that is gone could no longer be named.
        count = await self.disable(name)
        await self._update(name, lambda _: None, EventType.ACCOUNT_DELETED, "deleted")
        return count

    async def _update(
        self,
        name: str,
        change: Callable[[Account], Account | None],
        kind: EventType,
        what: str,
    ) -> Account:
        """Change the row as it is when it is written; what it was before."""
        for _ in range(limits.SWAP_ATTEMPTS):
            before = await self.get(name)
            event = Event(
                type=kind,
                at=self._clock(),
                account_id=before.id,
                detail={"change": what},
            )
            if await self._store.swap_account(before, change(before), event):
                return before
        raise StoreUnavailable


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
            f"address:{network_of(address)}",
            limits.THROTTLE_ADDRESS_BURST,
            limits.THROTTLE_ADDRESS_INTERVAL,
        ),
    )
