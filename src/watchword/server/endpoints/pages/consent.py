"""GET and POST /consent: whether a client may have what it asks for.

The answer holds for what was shown, which the form brings back: if the client wants or
may have more by now, the page comes again. A form of another user of this browser, or
of one that has signed in anew since, is not accepted (`server/csrf.py`), and no other
site can show this page in a frame or send its form.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.authorize import AskConsent, Granted
from watchword.errors import CsrfRejected, InteractionExpired
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.on_the_way import (
    answer,
    on_the_way,
    outcome_of,
)
from watchword.server.interacting import answer_of
from watchword.server.operation import page_operations
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.client_views import Consent
from watchword.server.parsing import Form
from watchword.server.visitor import Visitor, visitor_of
from watchword.server.waiting import Waiting, waiting_in


@on_the_way
async def show(request: Request) -> Response:
    waiting, visitor = _waiting(request), await visitor_of(request)
    if visitor is None:
        return see_other(request, "sign-in")
    return await _ask(request, waiting, visitor)


@on_the_way
async def submit(request: Request) -> Response:
    waiting, visitor = _waiting(request), await visitor_of(request)
    if visitor is None:
        return see_other(request, "sign-in")
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return await _ask(request, waiting, visitor, error)
    decision = form.get("decision")
    if decision not in {"allow", "deny"}:
        return await _ask(request, waiting, visitor)
    allows = _shown_by(form) if decision == "allow" else None
    return await answer(request, waiting, visitor.session, allows)


async def _ask(
    request: Request,
    waiting: Waiting,
    visitor: Visitor,
    error: CsrfRejected | None = None,
) -> Response:
    """The page, or where the browser goes that has nothing to be asked any more."""
    outcome = await outcome_of(request, waiting, visitor.session)
    if not isinstance(outcome.verdict, AskConsent):
        return answer_of(request, outcome)
    account, scope = visitor.account, outcome.verdict.scope
    view = Consent(
        name=account.name,
        scope=scope,
        resources=outcome.verdict.resources,
        email=(account.email_confirmed_at and account.email) or "",
        roles=account.roles,
        is_local=waiting.is_local,
    )
    if error is not None:
        return page_again(request, view, error, account=account.locale)
    return page_of(request, view, account=account.locale)


def _shown_by(form: Form) -> Granted:
    """What the page has shown. The form is one of ours, so its user has seen that."""
    scope, resources = (form.get(name) or "" for name in ("scope", "resources"))
    return Granted(tuple(scope.split()), tuple(resources.split()))


def _waiting(request: Request) -> Waiting:
    """Raises InteractionExpired where the address names none."""
    waiting = waiting_in(request)
    if waiting is None:
        raise InteractionExpired
    return waiting


SHOW, SUBMIT = page_operations("/consent", show, submit)
