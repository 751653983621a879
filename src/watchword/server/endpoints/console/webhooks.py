"""GET and POST /console/webhooks: the list, one webhook, and a new one."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import as_text
from watchword.errors import InvalidRequest, NotFound
from watchword.server.admin_auth import admin_of
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console.webhooks import (
    NewWebhook,
    WebhookRow,
    Webhooks,
    WebhookScreen,
    WebhookSecret,
)
from watchword.server.console_response import again, done, screen_of
from watchword.server.endpoints.console.refusing import refused
from watchword.server.endpoints.console.visitor import (
    Admin,
    for_admin,
    takes_form,
    version_in,
)
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form
from watchword.webhooks.registry import WebhookSecrets, WebhookStatus
from watchword.webhooks.topics import GROUPS


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    given = request.query_params
    if "add" in given:
        return screen_of(request, admin, NewWebhook())
    if "id" in given:
        return screen_of(request, admin, await _one(request, given["id"]))
    rows = await admin_of(request).webhooks.list()
    return screen_of(request, admin, Webhooks(rows=tuple(map(_row, rows))))


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    if form.need("do") == "add":
        return await _add(request, admin, form)
    try:
        return await _change(request, admin, form, request.query_params.get("id", ""))
    except NotFound:
        return done(request, ConsoleNotice.GONE, "webhooks")


async def _add(request: Request, admin: Admin, form: Form) -> Response:
    groups = [one for one in GROUPS if form.get(f"group-{one}") == "yes"]
    topics = [*groups, *(form.get("topics") or "").split()]
    try:
        webhook, secrets = await admin_of(request).webhooks.add(
            admin.operator, (form.get("url") or "").strip(), topics
        )
    except InvalidRequest as error:
        return refused(request, admin, NewWebhook(values=form.fields), error)
    webhook_id = as_text(webhook.id)
    return _secret(request, admin, webhook_id, secrets, "The webhook is added")


async def _change(
    request: Request, admin: Admin, form: Form, webhook_id: str
) -> Response:
    webhooks, by = admin_of(request).webhooks, admin.operator
    match form.need("do"):
        case "retry":
            count = await webhooks.retry(by, webhook_id)
            return again(request, ConsoleNotice.DELIVERIES_DUE, count)
        case "rotate-secret":
            secrets = await webhooks.rotate_secret(by, webhook_id, version_in(form))
            title = "The secret of the webhook is replaced"
            return _secret(request, admin, webhook_id, secrets, title)
        case "disable":
            await webhooks.disable(by, webhook_id, version_in(form))
            return again(request, ConsoleNotice.WEBHOOK_DISABLED)
        case "enable":
            await webhooks.enable(by, webhook_id, version_in(form))
            return again(request, ConsoleNotice.WEBHOOK_ENABLED)
        case "remove":
            await webhooks.remove(by, webhook_id, version_in(form))
            return done(request, ConsoleNotice.WEBHOOK_REMOVED, "webhooks")
    raise InvalidRequest("There is no such form.")


async def _one(request: Request, webhook_id: str) -> WebhookScreen:
    webhooks, after = admin_of(request).webhooks, request.query_params.get("after")
    row = _row(await webhooks.get(webhook_id))
    try:
        page = await webhooks.deliveries(webhook_id, after=after or None)
    except InvalidRequest:  # a link that was kept for too long
        raise NotFound from None
    return WebhookScreen(
        title=urlsplit(row.webhook.url).netloc,
        row=row,
        deliveries=tuple(page.items),
        next=page.next,
        is_later=bool(after),
    )


def _row(status: WebhookStatus) -> WebhookRow:
    return WebhookRow(id=as_text(status.webhook.id), status=status)


def _secret(
    request: Request, admin: Admin, webhook_id: str, secrets: WebhookSecrets, title: str
) -> Response:
    view = WebhookSecret(
        title=title,
        text="Copy the secret now: it is not shown again.",
        values=(("Secret", secrets.secret), ("Public key", secrets.public_key)),
        onward="webhooks",
        query={"id": webhook_id},
    )
    return screen_of(request, admin, view)


ENDPOINTS: Final = screen_operations("webhooks", show, submit)
