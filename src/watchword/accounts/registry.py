"""Accounts: register, import, change, list.

A change that must end an account's sessions commits a new `epoch`, then ends those that
there are. A sign-in that was under way meanwhile looks at the account again, sees the
new epoch and ends the session that it has just begun.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.names import (
    checked_roles,
    normalise_name,
    password_names,
)
from watchword.accounts.rows import AccountRows, Change, changed, renamed
from watchword.accounts.session_roles import SessionRoles
from watchword.clocks import Clock, Entropy
from watchword.core.actor import APP, Actor, By, EndReason
from watchword.core.session import Authenticated, from_text, time_ordered_id
from watchword.errors import (
    EmailInvalid,
    InvalidCredentials,
    NameTaken,
    NotFound,
    PasswordRejected,
)
from watchword.mail.message import MailPurpose
from watchword.mail.writing import MailWriter
from watchword.notices import Notices
from watchword.passwords import UNUSABLE, PasswordHasher, is_unusable, recognised
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import EventType
from watchword.sessions import Sessions


class Accounts:
    """Accounts and their passwords.

    Methods that change an account take its id (16 bytes): another account may have its
    name a moment later. They raise TypeError for a name. `by` is the caller, for the
    audit log; an application may leave it out. With a `version`, only that version of
    the account is changed: VersionChanged is raised otherwise.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        sessions: Sessions,
        hasher: PasswordHasher,
        rows: AccountRows,
        account_limits: AccountLimits,
        session_roles: SessionRoles,
        notices: Notices,
        mail: MailWriter,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._accounts = accounts
        self._rows = rows
        self._limits = account_limits
        self._session_roles = session_roles
        self._notices = notices
        self._mail = mail
        self._sessions = sessions
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy

    async def register(
        self, name: str, password: str, *, roles: Iterable[str] = (), by: By = APP
    ) -> Account:
        """A new account. Raises NameTaken, PasswordRejected, InvalidRequest.

        A name that another account let go in the last 90 days is taken for a user, and
        free for every other actor.
        """
        name = normalise_name(name)
        hashed = await self._hasher.hash(password, names=password_names(name))
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
        await self._rows.add(account, by)
        return account

    async def get(self, name: str) -> Account:
        """The account of that name. Raises NotFound."""
        account = await self._accounts.by_name(normalise_name(name))
        if account is None:
            message = f"there is no account named {name!r}"
            raise NotFound(message)
        return account

    async def get_by_email(self, email: str) -> Account:
        """The account with that address, confirmed. Raises NotFound, EmailInvalid."""
        account = await self._accounts.by_email(self._mail.read_address(email).key)
        if account is None:
            message = f"there is no account with the address {email!r}"
            raise NotFound(message)
        return account

    async def find(self, name: str) -> Account:
        """The account of that name or, if there is none, of that address.

        Raises NotFound.
        """
        try:
            return await self.get(name)
        except NotFound as unknown:
            try:
                return await self.get_by_email(name)
            except (NotFound, EmailInvalid):
                raise unknown from None

    async def get_by_subject(self, subject: str | uuid.UUID) -> Account:
        """The account that a token's `sub` names. Raises NotFound.

        NotFound is raised for the token of a client too: a client has no account.
        """
        account_id = from_text(str(subject))
        account = account_id and await self._accounts.by_id(account_id)
        if not account:
            raise NotFound("there is no account of that subject")
        return account

    async def is_empty(self) -> bool:
        """Whether there is no account at all."""
        return not await self._accounts.list(limit=1)

    async def list(self, *, after: str = "", limit: int = 1000) -> list[Account]:
        """At most `limit` accounts in order of name, following `after`."""
        return await self._accounts.list(after=after, limit=limit)

    async def set_password(
        self,
        account_id: bytes,
        password: str,
        *,
        keep_session: bytes | str | None = None,
        proved: Authenticated | None = None,
        by: By = APP,
    ) -> int:
        """Change the password, end the account's sessions, and return how many.

        `keep_session` names one session that is not ended: by its id, or by the `sid`
        of its access tokens. Where the change was asked for with what the user has
        `proved`, InvalidCredentials is raised if the account has changed since: a reset
        by its owner must stand. Raises NotFound, PasswordRejected; Throttled for a user
        that has `proved` something.
        """

        def change(row: Account) -> Account:
            if proved is not None and proved.epoch != row.epoch:
                raise InvalidCredentials
            return changed(row, password_hash=hashed, epoch=row.epoch + 1)

        if isinstance(keep_session, str):
            keep_session = from_text(keep_session)
        if proved is not None:
            await self._limits.changing(account_id, "password")
        account = await self._rows.current(account_id)
        names = password_names(account.name, account.email)
        hashed = await self._hasher.hash(password, names=names)
        async with self._rows.ending(account_id, but=keep_session, by=by) as ended:
            await self._update(
                account_id,
                change,
                EventType.PASSWORD_CHANGED,
                "password",
                by,
                notice=MailPurpose.PASSWORD_CHANGED,
            )
        return sum(ended)

    async def disable(
        self, account_id: bytes, *, version: int | None = None, by: By = APP
    ) -> int:
        """Refuse the account from now on, end its sessions, and return how many.

        Raises NotFound, and LastAdmin for the last enabled account of the admin role.
        """
        await self._disable(account_id, version, by)
        reason = EndReason.ACCOUNT_DISABLED
        return await self._sessions.end_all(account_id, reason, by=by)

    async def _disable(self, account_id: bytes, version: int | None, by: By) -> None:
        await self._update(
            account_id,
            lambda row: changed(row, disabled=True, epoch=row.epoch + 1),
            EventType.ACCOUNT_CHANGED,
            "disabled",
            by,
            version=version,
        )

    async def enable(
        self, account_id: bytes, *, version: int | None = None, by: By = APP
    ) -> None:
        """Let the account sign in again. Ended sessions stay so. Raises NotFound."""
        await self._update(
            account_id,
            lambda row: changed(row, disabled=False),
            EventType.ACCOUNT_CHANGED,
            "enabled",
            by,
            version=version,
        )

    async def update_profile(
        self,
        account_id: bytes,
        *,
        locale: str | None = None,
        username: str | None = None,
        by: By = APP,
    ) -> Account:
        """Change the language of the account's mails, or its name, or both.

        Where there are no mails in that language, they are English. A `username` of ""
        makes the address the name. None leaves either as it is. Raises NotFound,
        NameInvalid, NameTaken, InvalidRequest; Throttled for a user.
        """
        if by.actor is Actor.USER:
            await self._limits.changing(account_id, "profile")

        def change(row: Account) -> Account:
            return changed(
                row,
                locale=row.locale if locale is None else self._mail.locale(locale),
                name=row.name if username is None else renamed(row, username, by),
            )

        kind = EventType.ACCOUNT_CHANGED
        return await self._update(account_id, change, kind, "profile", by)

    async def set_roles(
        self, account_id: bytes, roles: Iterable[str], *, by: By = APP
    ) -> None:
        """Replace the account's roles. Its sessions get them at their next refresh.

        Where the roles demand a second factor, sessions below `aal2` end. Raises
        NotFound, InvalidRequest.
        """
        wanted = checked_roles(roles)
        await self._update(
            account_id,
            lambda row: changed(row, roles=wanted),
            EventType.ACCOUNT_CHANGED,
            "roles",
            by,
        )
        await self._session_roles.give(account_id)

    async def look_again(self, authenticated: Authenticated) -> Authenticated:
        """What was proved, with the roles that the account has now.

        Raises InvalidCredentials if the account has changed since it was proved.
        It may have been disabled, deleted or given another password. Each of these ends
        the sessions that exist at that moment, and may have missed the session that has
        just begun. If the account has other roles by now, its sessions get them.
        """
        current = await self._accounts.by_id(authenticated.account_id)
        if current is None or current.epoch != authenticated.epoch:
            raise InvalidCredentials
        if current.roles != authenticated.roles:
            await self._session_roles.give(current.id)
        return msgspec.structs.replace(authenticated, roles=current.roles)

    async def delete(
        self, account_id: bytes, *, version: int | None = None, by: By = APP
    ) -> int:
        """Remove the account, end its sessions, and return how many.

        Its addresses get a notice. An account that is made later under the same name
        has another subject: it is a different account. Raises NotFound, and LastAdmin
        for the last enabled account of the admin role.
        """
        # The account is disabled first. If this is cut off half-way, it can be called
        # again and finishes. If the account were deleted first, its sessions could no
        # longer be found by its name.
        await self._disable(account_id, version, by)
        remove = partial(self._remove, account_id, by)
        # A user cannot ask for it again: its sessions end.
        async with self._rows.finished(remove, "deleting an account"):
            return await remove()

    async def _remove(self, account_id: bytes, by: By) -> int:
        reason = EndReason.ACCOUNT_DELETED
        count = await self._sessions.end_all(account_id, reason, by=by)
        await self._update(
            account_id,
            lambda _: None,
            EventType.ACCOUNT_DELETED,
            "deleted",
            by,
            notice=MailPurpose.ACCOUNT_DELETED,
        )
        return count

    async def _update(
        self,
        account_id: bytes,
        change: Callable[[Account], Account | None],
        kind: EventType,
        what: str,
        by: By,
        *,
        notice: MailPurpose | None = None,
        version: int | None = None,
    ) -> Account:
        """Apply `change` to the row, and mail a notice of it.

        Raises NotFound, VersionChanged, LastAdmin, NameTaken, StoreUnavailable.
        """

        async def step(before: Account) -> Change:
            told = () if notice is None else await self._notices.of(before, notice)
            return Change(after=change(before), outbox=told)

        return await self._rows.update(
            account_id, step, kind, what, by, version=version
        )
