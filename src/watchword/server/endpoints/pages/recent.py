"""Whether the visitor has proved enough, and lately enough, to change the account.

At the highest level that the account can reach: a session that was begun by a password
alone changes nothing where the account has a second factor.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import SECOND
from watchword.factors.registry import Enrolled
from watchword.server.endpoints.pages.visitor import Visitor
from watchword.server.page_response import see_other
from watchword.server.pages.step_views import After
from watchword.server.parsing import engine_of
from watchword.server.token_auth import RECENT


async def enrolled_of(request: Request, visitor: Visitor) -> Enrolled:
    """The visitor's factors."""
    account = visitor.account
    return await engine_of(request).second_factors.factors.of(account.id, account.roles)


def is_recent(request: Request, visitor: Visitor, enrolled: Enrolled) -> bool:
    """Whether the last proof is at the highest level, and five minutes old at most."""
    session = visitor.session
    age = engine_of(request).clock() - session.auth_time
    return session.acr >= enrolled.acr and age <= RECENT * SECOND


def prove_first(request: Request, then: After) -> Response:
    """On to the page that asks for a proof, which comes back."""
    return see_other(request, "prove", then=then.value)
