"""Accounts, as operators see and change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from watchword.accounts.registry import Accounts
from watchword.admin.operators import Operator
from watchword.admin.pages import Cursors, Page
from watchword.core import limits
from watchword.core.session import Session
from watchword.factors.enrolled import Enrolled
from watchword.factors.registry import Factors
from watchword.oauth.consents import Consents
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.consents import Consent
from watchword.sessions import Sessions


class AccountDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One account, with what it has of factors."""

    account: Account
    factors: Enrolled


class AccountAdmin:
    """Lists accounts and changes them. Ids are subjects as tokens have them.

    Every write raises NotFound, VersionChanged (`version` is what the caller saw),
    InsufficientRole (a client and an account of an admin), LastAdmin,
    StoreUnavailable.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        registry: Accounts,
        sessions: Sessions,
        factors: Factors,
        consents: Consents,
        cursors: Cursors,
        admin_role: str,
    ) -> None:
        self._stores = stores
        self._registry = registry
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
        raise NotImplementedError

    async def get(self, subject: str) -> AccountDetail:
        """Raises NotFound."""
        raise NotImplementedError

    async def create(
        self,
        operator: Operator,
        *,
        username: str | None = None,
        email: str | None = None,
        password: str | None = None,
        roles: Iterable[str] = (),
        locale: str | None = None,
    ) -> Account:
        """Raises NameTaken, EmailTaken, PasswordRejected, InvalidRequest besides."""
        raise NotImplementedError

    async def update(
        self,
        operator: Operator,
        subject: str,
        version: int,
        *,
        username: str | None = None,
        email: str | None = None,
        roles: Iterable[str] | None = None,
        locale: str | None = None,
    ) -> Account:
        """Change what is given. Raises NameTaken, EmailTaken, InvalidRequest too."""
        raise NotImplementedError

    async def delete(self, operator: Operator, subject: str, version: int) -> int:
        """Delete it; how many sessions ended."""
        raise NotImplementedError

    async def disable(self, operator: Operator, subject: str, version: int) -> int:
        """Refuse it from now on; how many sessions ended."""
        raise NotImplementedError

    async def enable(self, operator: Operator, subject: str, version: int) -> None:
        """Let it sign in again."""
        raise NotImplementedError

    async def send_reset(self, operator: Operator, subject: str, version: int) -> None:
        """Mail it a link for a new password. Raises InvalidRequest without address."""
        raise NotImplementedError

    async def reset_factors(
        self, operator: Operator, subject: str, version: int
    ) -> int:
        """Remove its second factors; how many sessions ended."""
        raise NotImplementedError

    async def end_sessions(self, operator: Operator, subject: str, version: int) -> int:
        """End all of its sessions; how many."""
        raise NotImplementedError

    async def sessions(
        self, subject: str, *, after: str | None = None, limit: int = limits.ADMIN_LIST
    ) -> Page[Session]:
        """Its live sessions, newest sign-in first. Raises NotFound, InvalidRequest."""
        raise NotImplementedError

    async def consents(self, subject: str) -> Sequence[Consent]:
        """What it has allowed clients. Raises NotFound."""
        raise NotImplementedError

    async def withdraw(self, operator: Operator, subject: str, client_id: str) -> int:
        """Withdraw a consent; how many sessions ended."""
        raise NotImplementedError
