"""The claims of a user (OpenID Connect Core §5.3), by the scopes of a token."""

from __future__ import annotations

import msgspec

from watchword.accounts.registry import Accounts
from watchword.core.access_token import Claims
from watchword.core.scopes import OPENID, ROLES
from watchword.core.session import from_text
from watchword.errors import InsufficientScope, NotFound, TokenRevoked
from watchword.ports.accounts import Account
from watchword.sessions import Sessions


class UserClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client may know of a user. `updated_at` is in whole seconds.

    By `profile` come `preferred_username` and `updated_at`: when the account was made,
    or its address confirmed last. By `email` come `email` and `email_verified`, where
    the account has an address. By `roles` come `roles`, and as `groups` the same.
    """

    sub: str
    preferred_username: str | None = None
    updated_at: int | None = None
    email: str | None = None
    email_verified: bool | None = None
    roles: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None


class UserInfo:
    """Answers what a client may know of a user."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def of(self, claims: Claims) -> UserClaims:
        """The claims for an access token that has been checked.

        They are those of now, not of the sign-in. So is the session: another process
        may have ended it a moment ago, which this one learns within a second. Raises
        InsufficientScope without `openid`; TokenRevoked where session or account has
        ended; StoreUnavailable.
        """
        scope = (claims.scope or "").split(" ")
        if OPENID not in scope:
            raise InsufficientScope(OPENID)
        try:
            account = await self._accounts.get_by_subject(claims.sub)
        except NotFound:
            raise TokenRevoked from None
        session_id = from_text(claims.sid or "")
        session = None if session_id is None else await self._sessions.get(session_id)
        if account.disabled or session is None or session.revoked_at is not None:
            raise TokenRevoked
        return claims_for(account, scope)


def claims_for(account: Account, scope: list[str]) -> UserClaims:
    """The claims of an account that these scopes stand for."""
    with_email = "email" in scope and account.email is not None
    with_name = "profile" in scope and ("@" not in account.name or "email" in scope)
    confirmed = account.email_confirmed_at
    updated = max(account.created_at, confirmed or 0) // 1000
    roles = account.roles if ROLES in scope else None
    return UserClaims(
        sub=account.subject,
        # A name may be an address, which is told by its own scope alone.
        preferred_username=account.name if with_name else None,
        updated_at=updated if "profile" in scope else None,
        email=account.email if with_email else None,
        email_verified=confirmed is not None if with_email else None,
        roles=roles,
        groups=roles,
    )
