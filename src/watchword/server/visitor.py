"""The user that is signed in at this browser, for every page that looks."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from watchword.core.session import Session, as_text
from watchword.errors import NotFound
from watchword.factors.enrolled import Enrolled
from watchword.ports.accounts import Account
from watchword.server.parsing import engine_of
from watchword.server.sign_in_cookie import browser_session


class Visitor(msgspec.Struct, frozen=True):
    """A signed-in browser: its session at this server, and the account of it."""

    session: Session
    account: Account


class Owner(Visitor, frozen=True):
    """A visitor, and the factors of the account."""

    enrolled: Enrolled

    @property
    def has_factor(self) -> bool:
        """Whether the account has a second factor."""
        return bool(self.enrolled.factors)

    @property
    def has_proved_all(self) -> bool:
        """Whether the session is at the highest level that the account can reach."""
        return self.session.acr >= self.enrolled.acr


async def visitor_of(request: Request) -> Visitor | None:
    """The visitor, or None where the browser has no session that lives.

    Raises NotFound in an app that has users of its own, StoreUnavailable.
    """
    session = await browser_session(request)
    if session is None:
        return None
    subject = as_text(session.account_id)
    try:
        account = await engine_of(request).accounts.get_by_subject(subject)
    except NotFound:
        return None  # deleted a moment ago
    return Visitor(session, account)


async def owner_of(request: Request) -> Owner | None:
    """The visitor, or None where the browser has no session that lives.

    Raises as `visitor_of`.
    """
    visitor = await visitor_of(request)
    if visitor is None:
        return None
    account = visitor.account
    factors = engine_of(request).second_factors.factors
    enrolled = await factors.of(account.id, account.roles)
    return Owner(visitor.session, account, enrolled)
