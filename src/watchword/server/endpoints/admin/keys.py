"""The calls of /api/admin/keys: list, rotate, retire."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.keys import KeyInfo
from watchword.ports.keys import KeyState, KeyUse
from watchword.server.admin_auth import admin_of, changes, reader, shows, writer
from watchword.server.endpoints.admin.fields import RequestBody
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, done, utc


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key. `since`: when it came into its state. Times are UTC.

    `until`: when the next key takes the place of an active one by itself, and when a
    retired one is published no more; null for a next one.
    """

    kid: str
    use: KeyUse
    alg: str
    state: KeyState
    since: datetime
    until: datetime | None


class KeyList(msgspec.Struct, frozen=True):
    """All keys: those of access tokens first. There is no other page."""

    items: list[KeyView]
    next: None = None


class RotateKeys(RequestBody, frozen=True):
    """Which keys: those of access tokens, unless `use` names others."""

    use: KeyUse = KeyUse.ACCESS_TOKEN


class ActiveKey(msgspec.Struct, frozen=True):
    """The id of the key that signs from now on."""

    active: str


_ROTATE: Final = msgspec.json.Decoder(RotateKeys)


async def list_keys(request: Request) -> Response:
    await reader(request)
    return JSON(KeyList([_view(one) for one in await admin_of(request).keys.list()]))


LIST = shows("/keys", list_keys, summary="Signing keys", response=KeyList)


async def rotate(request: Request) -> Response:
    operator = await writer(request)
    sent = await read_body(request)
    body = parse_json(request, sent, _ROTATE) if sent else RotateKeys()
    kid = await admin_of(request).keys.rotate(operator, body.use)
    return JSON(ActiveKey(kid))


ROTATE = changes(
    "POST",
    "/keys/rotate",
    rotate,
    summary="Sign with the next key",
    description=(
        "Tokens of the old one stay good. 409 while verifiers may not know the next "
        "key yet: `detail` says how long."
    ),
    request=RotateKeys,
    request_required=False,
    example={"use": KeyUse.ACCESS_TOKEN},
    response=ActiveKey,
    errors=(errors.KeyNotReady,),
)


async def retire(request: Request) -> Response:
    operator = await writer(request)
    await admin_of(request).keys.retire(operator, request.path_params["kid"])
    return done()


RETIRE = changes(
    "POST",
    "/keys/{kid}/retire",
    retire,
    summary="Drop a key that has leaked",
    description=(
        "Every token that it signed is refused at once; clients refresh theirs. In the "
        "place of an active one the next one signs. To replace a key in good health, "
        "rotate."
    ),
    status=204,
)


def _view(one: KeyInfo) -> KeyView:
    return KeyView(
        kid=one.kid,
        use=one.use,
        alg=one.alg,
        state=one.state,
        since=utc(one.since),
        until=None if one.until is None else utc(one.until),
    )
