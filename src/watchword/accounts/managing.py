"""Accounts, as operators make and change them: each change is one conditional write."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from watchword.accounts.email_change import EmailChanges
from watchword.accounts.names import checked_roles, normalise_name, password_names
from watchword.accounts.recovery import Recovery
from watchword.accounts.rows import AccountRows, Change, changed, renamed
from watchword.accounts.session_roles import SessionRoles
from watchword.clocks import Clock, Entropy
from watchword.core.actor import By, EndReason
from watchword.core.session import time_ordered_id
from watchword.errors import EmailTaken, InvalidRequest, VersionChanged
from watchword.mail.addresses import EmailAddress
from watchword.mail.writing import MailWriter
from watchword.passwords import UNUSABLE, PasswordHasher
from watchword.ports.accounts import Account
from watchword.ports.audit import EventType
from watchword.sessions import Sessions


class AccountFields(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator gives of an account. None is left out, or stays as it is.

    `confirmed` says that the operator knows the address to be its user's: otherwise a
    mail asks for that.
    """

    username: str | None = None
    email: str | None = None
    confirmed: bool = False
    password: str | None = None
    roles: tuple[str, ...] | None = None
    locale: str | None = None


class ManagedAccounts:
    """Makes accounts with all that they have, and changes several things at once.

    `by` is the operator. With a `version`, only that version of the account is changed:
    VersionChanged is raised otherwise.
    """

    def __init__(
        self,
        *,
        rows: AccountRows,
        sessions: Sessions,
        session_roles: SessionRoles,
        email_changes: EmailChanges,
        recovery: Recovery,
        mail: MailWriter,
        hasher: PasswordHasher,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._rows = rows
        self._sessions = sessions
        self._session_roles = session_roles
        self._email_changes = email_changes
        self._recovery = recovery
        self._mail = mail
        self._hasher = hasher
        self._clock = clock
        self._entropy = entropy

    async def create(self, given: AccountFields, *, by: By) -> Account:
        """A new account. Without a password, its address is mailed a link to set one.

        An account without a name has its address for one, if that is confirmed. Raises
        InvalidRequest, NameTaken, EmailInvalid, EmailTaken, PasswordRejected; NotFound
        where a mail is needed and none can be sent; Overloaded, StoreUnavailable.
        """
        to = None if given.email is None else self._mail.read_address(given.email)
        account = self._new(given, to)
        if to is not None and not (given.confirmed and given.password is not None):
            self._mail.require()
        if given.password is not None:
            names = password_names(account.name, account.email)
            hashed = await self._hasher.hash(given.password, names=names)
            account = replace(account, password_hash=hashed)
        if to is not None and not given.confirmed:
            await self._email_changes.check_free(to)
        await self._rows.add(account, by)
        if to is None or (given.confirmed and given.password is not None):
            return account
        if given.confirmed:
            await self._recovery.send(account.id, by=by)
        else:
            # One that another account took a moment ago is shown, and never confirmed.
            with contextlib.suppress(EmailTaken):
                await self._email_changes.assign(
                    account.id, to.email, confirmed=False, by=by
                )
        return await self._rows.current(account.id)

    def _new(self, given: AccountFields, to: EmailAddress | None) -> Account:
        """The row of a new account, without a password. Raises InvalidRequest."""
        known = to if given.confirmed else None
        if not given.username and known is None:
            message = "An account needs a user name, or a confirmed mail address."
            raise InvalidRequest(message)
        if to is not None and known is None and given.password is None:
            message = (
                "Without a password the address has to be confirmed: it is mailed a "
                "link to set one. Or send an invitation."
            )
            raise InvalidRequest(message)
        now = self._clock()
        return Account(
            time_ordered_id(now, self._entropy(10)),
            normalise_name(given.username or (known.key if known else "")),
            UNUSABLE,
            checked_roles(given.roles or ()),
            now,
            email=None if to is None else to.email,
            email_key=None if known is None else known.key,
            email_confirmed_at=None if known is None else now,
            locale=self._mail.locale(given.locale or ""),
        )

    async def update(
        self, account_id: bytes, given: AccountFields, *, version: int | None, by: By
    ) -> Account:
        """Change what is given, in one write. Returns the account as it is then.

        A `username` of "" makes the address the name; a password is not looked at.
        Raises as `create`; NotFound, VersionChanged, LastAdmin.
        """
        roles = None if given.roles is None else checked_roles(given.roles)
        move = await self._moved(account_id, given, by)
        asked = "address" if given.confirmed else "address asked"
        parts = {
            "profile": (given.username, given.locale) != (None, None),
            "roles": roles is not None,
            asked: move is not None,
        }
        what = " ".join(part for part, is_given in parts.items() if is_given)
        if not what:
            return await self._unchanged(account_id, version)

        async def change(row: Account) -> Change:
            step = Change(after=changed(row)) if move is None else await move(row)
            after = step.after or row
            if given.username is not None:
                after = replace(after, name=renamed(after, given.username, by))
            if roles is not None:
                after = replace(after, roles=roles)
            if given.locale is not None:
                after = replace(after, locale=self._mail.locale(given.locale))
            return replace(step, after=after)

        kind = EventType.ACCOUNT_CHANGED
        after = await self._rows.update(
            account_id, change, kind, what, by, version=version
        )
        if roles is not None:
            await self._session_roles.give(account_id)
        return after

    async def _unchanged(self, account_id: bytes, version: int | None) -> Account:
        row = await self._rows.current(account_id)
        if version not in {None, row.version}:
            raise VersionChanged
        return row

    async def _moved(
        self, account_id: bytes, given: AccountFields, by: By
    ) -> Callable[[Account], Awaitable[Change]] | None:
        """The change of the address; None where it is the account's already."""
        row = await self._rows.current(account_id)
        is_same = row.email_key is not None and row.email == given.email
        if given.email is None or is_same:
            return None
        return await self._email_changes.assignment(
            account_id, given.email, confirmed=given.confirmed, by=by
        )

    async def end_sessions(
        self, account_id: bytes, *, version: int | None, by: By
    ) -> int:
        """End all of its sessions, and return how many.

        It is a change of the account too, so that it is of the version which the
        operator saw. Raises NotFound, VersionChanged, StoreUnavailable.
        """

        async def touch(row: Account) -> Change:
            return Change(after=changed(row))

        kind = EventType.ACCOUNT_CHANGED
        await self._rows.update(
            account_id, touch, kind, "sessions ended", by, version=version
        )
        reason = EndReason.REVOKED_BY_OPERATOR
        return await self._sessions.end_all(account_id, reason, by=by)
