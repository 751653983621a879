"""GET /console/accounts: the accounts that there are, page by page."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import InvalidRequest
from watchword.ports.accounts import Account
from watchword.server.admin_auth import admin_of
from watchword.server.console.accounts import STATES, AccountRow, Accounts, kinds_of
from watchword.server.console_response import screen_of
from watchword.server.endpoints.console.refusing import search_fault
from watchword.server.endpoints.console.visitor import Admin, for_admin
from watchword.server.operation import screen_operations
from watchword.server.parsing import engine_of


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    given = request.query_params
    state = given.get("state", "")
    q, role = given.get("q", "").strip(), given.get("role", "").strip()
    screen = partial(Accounts, q=q, role=role, state=state if state in STATES else "")
    after = given.get("after") or None
    try:
        page = await admin_of(request).accounts.list(
            q=q,
            role=role or None,
            disabled={"active": False, "disabled": True}.get(state),
            after=after,
        )
    except InvalidRequest as error:
        view = screen(rows=(), next=None, faults=(search_fault(error),))
        return screen_of(request, admin, view, status=422)
    rows = await asyncio.gather(*(_row(request, one) for one in page.items))
    view = screen(rows=tuple(rows), next=page.next, is_later=after is not None)
    return screen_of(request, admin, view)


async def _row(request: Request, account: Account) -> AccountRow:
    engine = engine_of(request)
    enrolled = await engine.second_factors.factors.of(account.id)
    newest = await engine.sessions.page(account.id, limit=1)
    return AccountRow(
        account=account,
        factors=kinds_of(enrolled.factors),
        signed_in=next((one.authenticated_at for one in newest.sessions), None),
    )


ENDPOINTS: Final = screen_operations("accounts", show)
