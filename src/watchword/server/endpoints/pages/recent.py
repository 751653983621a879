"""Whether the visitor has proved enough, and lately enough, to change the account.

At the highest level that the account can reach: a session that was begun by a password
alone changes nothing where the account has a second factor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import SECOND
from watchword.factors.enrolled import Enrolled
from watchword.server.endpoints.pages.visitor import Visitor, visitor_of
from watchword.server.operation import Handler
from watchword.server.page_response import see_other
from watchword.server.pages.step_views import After
from watchword.server.parsing import engine_of
from watchword.server.token_auth import RECENT


class Owner(Visitor, frozen=True):
    """A visitor, and the factors of the account."""

    enrolled: Enrolled

    @property
    def has_factor(self) -> bool:
        """Whether the account has a second factor."""
        return bool(self.enrolled.factors)


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


OwnerHandler: TypeAlias = Callable[[Request, Owner], Awaitable[Response]]


def for_owner(handler: OwnerHandler) -> Handler:
    """The handler of a page for signed-in users; others go to the sign-in page."""

    async def handle(request: Request) -> Response:
        owner = await owner_of(request)
        if owner is None:
            return see_other(request, "sign-in")
        return await handler(request, owner)

    return handle


def is_recent(request: Request, owner: Owner) -> bool:
    """Whether the last proof is at the highest level, and five minutes old at most."""
    session = owner.session
    age = engine_of(request).clock() - session.auth_time
    return session.acr >= owner.enrolled.acr and age <= RECENT * SECOND


def prove_first(request: Request, then: After) -> Response:
    """On to the page that asks for a proof, which comes back."""
    return see_other(request, "prove", then=then.value)
