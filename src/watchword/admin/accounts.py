"""Accounts, as operators see and change them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from watchword.accounts.managing import AccountFields, ManagedAccounts
from watchword.accounts.names import checked_roles
from watchword.accounts.recovery import NO_RESET, Recovery, can_reset
from watchword.accounts.registry import Accounts
from watchword.admin.operators import Done, Operator, at_version
from watchword.admin.pages import Cursors, Page, asked_for, checked_limit, prefix_of
from watchword.admin.sessions import SessionAdmin
from watchword.core import limits
from watchword.core.session import Session
from watchword.errors import InvalidRequest
from watchword.factors.enrolled import Enrolled
from watchword.factors.registry import Factors
from watchword.oauth.consents import Consents
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.consents import Consent


class AccountDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One account, with what it has of factors."""

    account: Account
    factors: Enrolled


class AccountAdmin:
    """Lists accounts and changes them. Ids are subjects as tokens have them.

    Every write raises NotFound, VersionChanged (`version` is what the caller saw; None
    stands for any), InsufficientRole (a client and an account of an admin), LastAdmin,
    StoreUnavailable.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        registry: Accounts,
        managed: ManagedAccounts,
        recovery: Recovery,
        sessions: SessionAdmin,
        factors: Factors,
        consents: Consents,
        cursors: Cursors,
        admin_role: str,
    ) -> None:
        self._stores = stores
        self._registry = registry
        self._managed = managed
        self._recovery = recovery
        self._sessions = sessions
        self._factors = factors
        self._consents = consents
        self._cursors = cursors
        self._admin_role = admin_role

    async def list(
        self,
        *,
        q: str = "",
        role: str | None = None,
        disabled: bool | None = None,
        after: str | None = None,
        limit: int = limits.ADMIN_LIST,
    ) -> Page[Account]:
        """Accounts whose name or address begins with `q`. Raises InvalidRequest."""
        prefix = prefix_of(q)
        checked_roles([] if role is None else [role])
        asked = asked_for("accounts", q=prefix, role=role, disabled=disabled)
        begin = "" if after is None else self._cursors.text_in(asked, after)
        page = await self._stores.accounts.search(
            prefix,
            after=begin,
            limit=checked_limit(limit),
            look=limits.ADMIN_LOOK,
            role=role,
            disabled=disabled,
        )
        return self._cursors.page(asked, page.accounts, page.onward)

    async def get(self, subject: str) -> AccountDetail:
        """Raises NotFound."""
        account = await self._registry.get_by_subject(subject)
        enrolled = await self._factors.of(account.id, account.roles)
        return AccountDetail(account=account, factors=enrolled)

    async def create(
        self,
        operator: Operator,
        *,
        username: str | None = None,
        email: str | None = None,
        confirmed: bool = False,
        password: str | None = None,
        roles: Iterable[str] = (),
        locale: str | None = None,
    ) -> Account:
        """A new account. Without a password, its address is mailed a link to set one.

        `confirmed` says that the operator knows the address to be its user's: otherwise
        a mail asks for that. Raises NameTaken, EmailInvalid, EmailTaken,
        PasswordRejected, InvalidRequest; NotFound where no mail can be sent.
        """
        given = AccountFields(
            username=username,
            email=email,
            confirmed=confirmed,
            password=password,
            roles=tuple(roles),
            locale=locale,
        )
        operator.need_reach(given.roles or (), self._admin_role)
        return await self._managed.create(given, by=operator.by)

    async def update(
        self,
        operator: Operator,
        subject: str,
        version: int | None,
        *,
        username: str | None = None,
        email: str | None = None,
        confirmed: bool = False,
        roles: Iterable[str] | None = None,
        locale: str | None = None,
    ) -> Account:
        """Change what is given, in one write. Raises NameTaken, EmailTaken, besides.

        With `username` "" the account is known by its address. Raises EmailInvalid,
        InvalidRequest; NotFound where no mail can be sent.
        """
        given = AccountFields(
            username=username,
            email=email,
            confirmed=confirmed,
            roles=None if roles is None else tuple(roles),
            locale=locale,
        )
        operator.need_reach(given.roles or (), self._admin_role)

        async def update(row: Account, seen: int) -> Account:
            return await self._managed.update(
                row.id, given, version=seen, by=operator.by
            )

        return await self._write(operator, subject, version, update)

    async def delete(
        self, operator: Operator, subject: str, version: int | None
    ) -> int:
        """Delete it; how many sessions ended."""

        async def delete(row: Account, seen: int) -> int:
            return await self._registry.delete(row.id, version=seen, by=operator.by)

        return await self._write(operator, subject, version, delete)

    async def disable(
        self, operator: Operator, subject: str, version: int | None
    ) -> int:
        """Refuse it from now on; how many sessions ended."""

        async def disable(row: Account, seen: int) -> int:
            return await self._registry.disable(row.id, version=seen, by=operator.by)

        return await self._write(operator, subject, version, disable)

    async def enable(
        self, operator: Operator, subject: str, version: int | None
    ) -> None:
        """Let it sign in again."""

        async def enable(row: Account, seen: int) -> None:
            await self._registry.enable(row.id, version=seen, by=operator.by)

        await self._write(operator, subject, version, enable)

    async def _write(
        self,
        operator: Operator,
        subject: str,
        version: int | None,
        verb: Callable[[Account, int], Awaitable[Done]],
    ) -> Done:
        """Call the verb with the row and the version that it may change.

        What the operator may reach is decided by the row of that very version.
        """

        async def attempt() -> Done:
            row = await self._registry.get_by_subject(subject)
            operator.need_reach(row.roles, self._admin_role)
            return await verb(row, row.version if version is None else version)

        return await at_version(version, attempt)

    async def send_reset(
        self, operator: Operator, subject: str, version: int | None
    ) -> None:
        """Mail it a link for a new password.

        Raises InvalidRequest where it is disabled or has no confirmed address; NotFound
        where no mail can be sent.
        """

        async def send(row: Account, seen: int) -> None:
            if not can_reset(row):
                raise InvalidRequest(NO_RESET)
            await self._recovery.send(row.id, version=seen, by=operator.by)

        await self._write(operator, subject, version, send)

    async def reset_factors(
        self, operator: Operator, subject: str, version: int | None
    ) -> int:
        """Remove its second factors, how many; all of its sessions end."""

        async def reset(row: Account, seen: int) -> int:
            return await self._factors.reset(row.id, version=seen, by=operator.by)

        return await self._write(operator, subject, version, reset)

    async def end_sessions(
        self, operator: Operator, subject: str, version: int | None
    ) -> int:
        """End all of its sessions; how many."""

        async def end(row: Account, seen: int) -> int:
            return await self._managed.end_sessions(
                row.id, version=seen, by=operator.by
            )

        return await self._write(operator, subject, version, end)

    async def sessions(
        self, subject: str, *, after: str | None = None, limit: int = limits.ADMIN_LIST
    ) -> Page[Session]:
        """Its live sessions, newest sign-in first. Raises NotFound, InvalidRequest."""
        await self._registry.get_by_subject(subject)
        return await self._sessions.list(account=subject, after=after, limit=limit)

    async def consents(self, subject: str) -> Sequence[Consent]:
        """What it has allowed clients, by client id. Raises NotFound."""
        account = await self._registry.get_by_subject(subject)
        return await self._consents.of_account(account.id)

    async def withdraw(self, operator: Operator, subject: str, client_id: str) -> int:
        """Withdraw a consent; how many sessions ended. Raises NotFound too."""
        account = await self._registry.get_by_subject(subject)
        operator.need_reach(account.roles, self._admin_role)
        return await self._consents.withdraw(account.id, client_id, by=operator.by)
