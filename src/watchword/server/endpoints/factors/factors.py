"""GET /factors, PATCH and DELETE /factors/{id}: what a user has."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.limits import FACTOR_NAME_MAX
from watchword.core.session import from_text
from watchword.errors import NotFound
from watchword.server.factor_fields import Factor, shown
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    BODY_ERRORS,
    by_user,
    engine_of,
    parse_json,
    read_body,
)
from watchword.server.responses import JSON, done
from watchword.server.token_auth import (
    NEEDS_RECENT,
    OWNER_ERRORS,
    RECENT_ERRORS,
    authenticate_owner,
    recent,
)

_PATH = f"{BASE}/factors"


class FactorList(msgspec.Struct, frozen=True, rename="camel"):
    """The second factors, the oldest first, and how many recovery codes are left."""

    factors: tuple[Factor, ...]
    recovery_codes_left: int


class RenameFactor(msgspec.Struct, frozen=True):
    """Another name for a factor."""

    name: Annotated[str, msgspec.Meta(max_length=FACTOR_NAME_MAX)]


_RENAME = msgspec.json.Decoder(RenameFactor)


async def show(request: Request) -> Response:
    account_id, _ = await authenticate_owner(request)
    enrolled = await engine_of(request).second_factors.factors.of(account_id)
    factors = tuple(shown(request, row) for row in enrolled.factors)
    return JSON(FactorList(factors, enrolled.codes_left))


LIST = Operation(
    method="GET",
    path=_PATH,
    handler=show,
    tag="factors",
    summary="My second factors",
    response=FactorList,
    bearer=True,
    errors=OWNER_ERRORS,
)


async def rename(request: Request) -> Response:
    account_id, *_ = await recent(request)
    body = parse_json(request, await read_body(request), _RENAME)
    row = await engine_of(request).second_factors.factors.rename(
        account_id, _factor_id(request), body.name, by=by_user(request)
    )
    return JSON(shown(request, row))


RENAME = Operation(
    method="PATCH",
    path=f"{_PATH}/{{id}}",
    handler=rename,
    tag="factors",
    summary="Rename a factor",
    description=NEEDS_RECENT,
    request=RenameFactor,
    example={"name": "Phone"},
    response=Factor,
    bearer=True,
    needs_bearer=True,
    errors=(*RECENT_ERRORS, *BODY_ERRORS),
)


async def remove(request: Request) -> Response:
    account_id, _, claims = await recent(request)
    await engine_of(request).second_factors.factors.remove(
        account_id, _factor_id(request), roles=claims.roles, by=by_user(request)
    )
    return done()


REMOVE = Operation(
    method="DELETE",
    path=f"{_PATH}/{{id}}",
    handler=remove,
    tag="factors",
    summary="Remove a factor",
    description=(
        "With the last factor go the recovery codes. The last one that the policy "
        f"demands stays, and so does the last way in. {NEEDS_RECENT}"
    ),
    status=204,
    bearer=True,
    errors=(*RECENT_ERRORS, errors.LastFactor),
)


def _factor_id(request: Request) -> bytes:
    """Raises NotFound for a text that is no id."""
    found = from_text(request.path_params["id"])
    if found is None:
        raise NotFound
    return found
