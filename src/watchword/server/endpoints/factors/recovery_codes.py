"""POST /factors/recovery-codes: ten new codes in the place of the old ones."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.factor_fields import RecoveryCodes
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import by_user, engine_of
from watchword.server.responses import JSON
from watchword.server.token_auth import NEEDS_RECENT, RECENT_ERRORS, recent


async def new_codes(request: Request) -> Response:
    account_id, *_ = await recent(request)
    codes = await engine_of(request).second_factors.factors.new_recovery_codes(
        account_id, by=by_user(request)
    )
    return JSON(RecoveryCodes(codes))


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/factors/recovery-codes",
    handler=new_codes,
    tag="factors",
    summary="New recovery codes",
    description=(
        "The codes of before work no more. 404 for a user without a second factor. "
        f"{NEEDS_RECENT}"
    ),
    response=RecoveryCodes,
    bearer=True,
    errors=(*RECENT_ERRORS, errors.Throttled),
)
