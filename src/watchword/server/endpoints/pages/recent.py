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
from watchword.server.operation import Handler
from watchword.server.page_response import see_other
from watchword.server.pages.step_views import After
from watchword.server.parsing import engine_of
from watchword.server.token_auth import RECENT
from watchword.server.visitor import Owner, owner_of

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
    age = engine_of(request).clock() - owner.session.auth_time
    return owner.has_proved_all and age <= RECENT * SECOND


def prove_first(request: Request, then: After) -> Response:
    """On to the page that asks for a proof, which comes back."""
    return see_other(request, "prove", then=then.value)
