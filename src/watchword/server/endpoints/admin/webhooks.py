"""The calls of /api/admin/webhooks: webhooks, and what was delivered to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.operators import Operator
from watchword.admin.webhooks import WebhookAdmin
from watchword.core.session import as_text
from watchword.ports.webhooks import Delivery, DeliveryState
from watchword.server.admin_auth import (
    admin_of,
    changes,
    reader,
    shows,
    version_of,
    writer,
)
from watchword.server.endpoints.admin.fields import NEXT, PAGE, RequestBody, page_query
from watchword.server.operation import Operation
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, Versioned, done, utc, versioned
from watchword.webhooks.registry import WebhookStatus
from watchword.webhooks.signing import message_id_of

_Switch: TypeAlias = Callable[
    [WebhookAdmin, Operator, str, int | None], Awaitable[object]
]
_ONE: Final = "/webhooks/{id}"
_USERS: Final = "Only a user can: a client may look at webhooks alone."


class WebhookView(Versioned, frozen=True, rename="camel", kw_only=True):
    """A webhook. Without `topics` it hears of everything. Times are UTC.

    `waiting` deliveries are still to be made, the oldest since `waitingSince`. Every
    try has failed since `failingSince`; null: the latest did not. `publicKey` verifies
    `v1a` signatures. With `allowPrivate` its host may have private addresses.
    """

    id: str
    url: str
    topics: tuple[str, ...]
    disabled: bool
    allow_private: bool
    failing_since: datetime | None
    waiting: int
    waiting_since: datetime | None
    public_key: str
    created_at: datetime


class NewWebhook(WebhookView, frozen=True, rename="camel", kw_only=True):
    """The webhook, and what verifies `v1` signatures: shown now, and never again."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    """All webhooks, the oldest first. There is no other page."""

    items: list[WebhookView]
    next: None = None


class AddWebhook(RequestBody, frozen=True):
    """Where to deliver, and what: topics or groups of them; without any, everything."""

    url: Annotated[str, msgspec.Meta(max_length=2048)]
    topics: tuple[str, ...] = ()


class WebhookSecret(msgspec.Struct, frozen=True, rename="camel"):
    """The new secret: shown now, and never again. `publicKey` belongs to it."""

    id: str
    secret: str
    public_key: str


class Hurried(msgspec.Struct, frozen=True):
    """How many deliveries are tried again now."""

    hurried: int


class DeliveryView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A message to a webhook. `id` is its `webhook-id`. Times are UTC.

    `status` and `answer` are of the latest answer, or say why there was none. One that
    waits is tried again at `nextAt`.
    """

    id: str
    topic: str
    state: DeliveryState
    attempts: int
    status: int | None
    answer: str
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None


class DeliveryList(msgspec.Struct, frozen=True):
    """A page of deliveries, the newest first."""

    items: list[DeliveryView]
    next: str | None


_ADD: Final = msgspec.json.Decoder(AddWebhook)


async def list_webhooks(request: Request) -> Response:
    await reader(request)
    rows = await admin_of(request).webhooks.list()
    return JSON(WebhookList([WebhookView(**_fields(row)) for row in rows]))


LIST = shows("/webhooks", list_webhooks, summary="Webhooks", response=WebhookList)


async def add(request: Request) -> Response:
    operator = await _user(request)
    body = parse_json(request, await read_body(request), _ADD)
    webhooks = admin_of(request).webhooks
    webhook, secrets = await webhooks.add(operator, body.url, body.topics)
    row = WebhookStatus(webhook, 0, None, secrets.public_key)
    content = NewWebhook(**_fields(row), secret=secrets.secret)
    return versioned(content, 201)


ADD = changes(
    "POST",
    "/webhooks",
    add,
    summary="Add a webhook",
    description=(
        "It hears of events from now on. Its host has public addresses, by https: only "
        f"the command line allows others. The secret is shown only now. {_USERS}"
    ),
    request=AddWebhook,
    example={"url": "https://hooks.example.org/watch", "topics": ["session.*"]},
    response=NewWebhook,
    status=201,
)


async def show(request: Request) -> Response:
    await reader(request)
    return await _shown(request)


SHOW = shows(
    _ONE,
    show,
    summary="One webhook",
    response=WebhookView,
    errors=(errors.NotFound,),
)


async def remove(request: Request) -> Response:
    operator = await _user(request)
    await admin_of(request).webhooks.remove(operator, _id(request), version_of(request))
    return done()


REMOVE = changes(
    "DELETE",
    _ONE,
    remove,
    summary="Delete a webhook",
    description=f"Its deliveries go with it. {_USERS}",
    is_versioned=True,
    status=204,
)


async def rotate_secret(request: Request) -> Response:
    operator = await _user(request)
    webhook_id, version = _id(request), version_of(request)
    webhooks = admin_of(request).webhooks
    secrets = await webhooks.rotate_secret(operator, webhook_id, version)
    return JSON(WebhookSecret(webhook_id, secrets.secret, secrets.public_key))


ROTATE_SECRET = changes(
    "POST",
    f"{_ONE}/rotate-secret",
    rotate_secret,
    summary="Replace the secret of a webhook",
    description=f"The old one signs beside the new one for a day. {_USERS}",
    is_versioned=True,
    response=WebhookSecret,
)


def _switch(word: str, verb: _Switch, summary: str, description: str) -> Operation:
    """The call that stops deliveries, or has them go on."""

    async def act(request: Request) -> Response:
        operator = await _user(request)
        version = version_of(request)
        await verb(admin_of(request).webhooks, operator, _id(request), version)
        return await _shown(request)

    return changes(
        "POST",
        f"{_ONE}/{word}",
        act,
        summary=summary,
        description=f"{description} {_USERS}",
        is_versioned=True,
        response=WebhookView,
    )


DISABLE = _switch(
    "disable",
    WebhookAdmin.disable,
    "Disable a webhook",
    "What happens meanwhile is not delivered later.",
)
ENABLE = _switch(
    "enable",
    WebhookAdmin.enable,
    "Enable a webhook",
    "Deliveries that waited are tried at once.",
)


async def retry(request: Request) -> Response:
    operator = await _user(request)
    return JSON(Hurried(await admin_of(request).webhooks.retry(operator, _id(request))))


RETRY = changes(
    "POST",
    f"{_ONE}/retry",
    retry,
    summary="Try all deliveries that wait again now",
    description=_USERS,
    response=Hurried,
)


async def list_deliveries(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).webhooks.deliveries(
        _id(request), after=query.after, limit=query.limit
    )
    return JSON(DeliveryList(list(map(_delivery, page.items)), page.next))


DELIVERIES = shows(
    f"{_ONE}/deliveries",
    list_deliveries,
    summary="Deliveries to a webhook",
    description=NEXT,
    query=PAGE,
    response=DeliveryList,
    errors=(errors.NotFound,),
)


async def _user(request: Request) -> Operator:
    """The caller of a change: clients are refused before anything else is looked at."""
    operator = await writer(request)
    operator.need_user()
    return operator


def _id(request: Request) -> str:
    found: str = request.path_params["id"]
    return found


async def _shown(request: Request) -> Response:
    row = await admin_of(request).webhooks.get(_id(request))
    return versioned(WebhookView(**_fields(row)))


def _fields(row: WebhookStatus) -> dict[str, Any]:
    webhook = row.webhook
    return {
        "id": as_text(webhook.id),
        "version": webhook.version,
        "url": webhook.url,
        "topics": webhook.topics,
        "disabled": webhook.disabled,
        "allow_private": webhook.allow_private,
        "failing_since": _time(webhook.failing_since),
        "waiting": row.waiting,
        "waiting_since": _time(row.oldest),
        "public_key": row.public_key,
        "created_at": utc(webhook.created_at),
    }


def _delivery(row: Delivery) -> DeliveryView:
    waits = row.state is DeliveryState.WAITING
    return DeliveryView(
        id=message_id_of(row.id),
        topic=row.topic,
        state=row.state,
        attempts=row.attempts,
        status=row.status,
        answer=row.answer,
        created_at=utc(row.created_at),
        tried_at=_time(row.tried_at),
        next_at=utc(row.not_before) if waits else None,
    )


def _time(instant: int | None) -> datetime | None:
    return None if instant is None else utc(instant)
