"""GET /api/admin/accounts/{id}/factors and consents."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.admin_auth import admin_of, reader, shows
from watchword.server.endpoints.admin.accounts import ONE
from watchword.server.factor_fields import Factor
from watchword.server.factor_fields import shown as factor_shown
from watchword.server.responses import JSON, utc


class FactorsOfAccount(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The second factors, the oldest first. `required`: it needs one to sign in.

    There is no other page.
    """

    items: tuple[Factor, ...]
    next: None = None
    recovery_codes_left: int
    required: bool


class ConsentItem(msgspec.Struct, frozen=True, rename="camel"):
    """What the account lets a client have, since when, and when that was used (UTC)."""

    client_id: str
    scope: str
    resources: tuple[str, ...]
    allowed_at: datetime
    last_used_at: datetime


class ConsentsOfAccount(msgspec.Struct, frozen=True):
    """In order of client id. There is no other page."""

    items: list[ConsentItem]
    next: None = None


async def factors(request: Request) -> Response:
    await reader(request)
    detail = await admin_of(request).accounts.get(request.path_params["id"])
    enrolled = detail.factors
    items = tuple(factor_shown(request, row) for row in enrolled.factors)
    content = FactorsOfAccount(
        items=items,
        recovery_codes_left=enrolled.codes_left,
        required=enrolled.is_demanded,
    )
    return JSON(content)


FACTORS = shows(
    f"{ONE}/factors",
    factors,
    summary="Second factors of an account",
    response=FactorsOfAccount,
    errors=(errors.NotFound,),
)


async def consents(request: Request) -> Response:
    await reader(request)
    rows = await admin_of(request).accounts.consents(request.path_params["id"])
    items = [
        ConsentItem(
            client_id=row.client_id,
            scope=" ".join(row.scope),
            resources=row.resource,
            allowed_at=utc(row.created_at),
            last_used_at=utc(row.used_at),
        )
        for row in rows
    ]
    return JSON(ConsentsOfAccount(items))


CONSENTS = shows(
    f"{ONE}/consents",
    consents,
    summary="What an account lets clients have",
    description=(
        "Clients that its user was asked about; one that is trusted is not among them."
    ),
    response=ConsentsOfAccount,
    errors=(errors.NotFound,),
)
