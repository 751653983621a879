"""`watchword webhooks`: where events are sent, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from watchword.cli.common import existing, operator, options, with_engine
from watchword.cli.output import counted, facts, table, tell, utc, visible
from watchword.core import limits
from watchword.core.session import as_text, from_text
from watchword.errors import NotFound

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.ports.webhooks import Delivery
    from watchword.webhooks.registry import Webhooks, WebhookSecrets, WebhookStatus

Result = TypeVar("Result")


@click.group()
def webhooks() -> None:
    """Webhooks: add, list, show, disable, remove, and what was delivered.

    Events are sent to another program (Standard Webhooks), by a running server.
    """


@webhooks.command()
@click.argument("url")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    help="What it hears of: session.ended, or a group such as session.*; repeatable. "
    "Everything if left out.",
)
@click.option(
    "--allow-private",
    is_flag=True,
    help="It may have http://, and addresses that are not public.",
)
@options
def add(
    url: str,
    topics: tuple[str, ...],
    allow_private: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Send events to URL from now on. Its secret is shown once, and kept sealed."""

    async def work(watchword: Watchword) -> tuple[bytes, WebhookSecrets]:
        webhook, secrets = await watchword.webhooks.add(
            url, topics=topics, allow_private=allow_private, by=operator()
        )
        return webhook.id, secrets

    webhook_id, secrets = with_engine(existing(data), work)
    name = as_text(webhook_id)
    _show_secret(as_json, f"Made the webhook {name}.", name, secrets)


@webhooks.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show all webhooks, the oldest first."""
    rows = with_engine(existing(data), lambda w: w.webhooks.list())
    hidden = ("publicKey", "allowPrivate", "version", "createdAt")
    shown = [_row(one) for one in rows]
    table(as_json, shown, "There are no webhooks.", leave_out=hidden)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@options
def show(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Show all that is known of a webhook, but for its secret."""
    facts(as_json, _row(_with(data, webhook_id, lambda w, one: w.get(one))))


@webhooks.command("rotate-secret")
@click.argument("webhook_id", metavar="ID")
@options
def rotate_secret(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Give a webhook a new secret, shown once. For a day the old one signs too."""
    secrets = _with(
        data, webhook_id, lambda w, one: w.rotate_secret(one, by=operator())
    )
    done = f"Changed the secret of the webhook {visible(webhook_id)}."
    _show_secret(as_json, done, webhook_id, secrets)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@options
def disable(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Send nothing to it. What happens meanwhile is not sent later."""
    _set(data, webhook_id, disabled=True)
    done = f"Disabled the webhook {visible(webhook_id)}."
    tell(as_json, done, id=webhook_id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@options
def enable(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Send what happens from now on, and what waited before."""
    _set(data, webhook_id, disabled=False)
    done = f"Enabled the webhook {visible(webhook_id)}."
    tell(as_json, done, id=webhook_id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@options
def remove(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Delete a webhook with its deliveries, also those that wait."""
    _with(data, webhook_id, lambda w, one: w.remove(one, by=operator()))
    done = f"Removed the webhook {visible(webhook_id)}."
    tell(as_json, done, id=webhook_id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(1, limits.WEBHOOK_SHOWN_MAX),
    default=limits.ADMIN_LIST,
    show_default=True,
    help="The latest so many.",
)
@options
def deliveries(webhook_id: str, limit: int, data: Path | None, as_json: bool) -> None:
    """Show what was sent to a webhook, and what waits, the latest first."""
    rows = _with(data, webhook_id, lambda w, one: w.deliveries(one, limit=limit))
    table(as_json, [_delivery(one) for one in rows], "There are no deliveries.")


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@options
def retry(webhook_id: str, data: Path | None, as_json: bool) -> None:
    """Send all that waits for a later try now."""
    count = _with(data, webhook_id, lambda w, one: w.retry(one, by=operator()))
    found = counted(count, "delivery") if count == 1 else f"{count} deliveries"
    tell(as_json, f"Due now: {found}.", id=webhook_id, due=count)


def _with(
    data: Path | None,
    webhook_id: str,
    work: Callable[[Webhooks, bytes], Awaitable[Result]],
) -> Result:
    """What `work` returns for the webhook of that id. Raises NotFound."""
    found = from_text(webhook_id)

    async def run(watchword: Watchword) -> Result:
        from watchword.webhooks.registry import NO_WEBHOOK  # with the engine

        if found is None:
            raise NotFound(NO_WEBHOOK)
        return await work(watchword.webhooks, found)

    return with_engine(existing(data), run)


def _set(data: Path | None, webhook_id: str, *, disabled: bool) -> None:
    _with(
        data,
        webhook_id,
        lambda w, one: w.set_disabled(one, disabled=disabled, by=operator()),
    )


def _show_secret(as_json: bool, done: str, name: str, secrets: WebhookSecrets) -> None:
    done += (
        f" This is its secret, shown only now:\n{secrets.secret}\n"
        f"Receivers that verify by a public key take this one:\n{secrets.public_key}"
    )
    keys = {"secret": secrets.secret, "publicKey": secrets.public_key}
    tell(as_json, done, id=name, **keys)


def _row(status: WebhookStatus) -> dict[str, Any]:
    webhook = status.webhook
    state = "enabled" if webhook.failing_since is None else "failing"
    return {
        "id": as_text(webhook.id),
        "url": webhook.url,
        "topics": list(webhook.topics),
        "state": "disabled" if webhook.disabled else state,
        "failingSince": webhook.failing_since and utc(webhook.failing_since),
        "waiting": status.waiting,
        "oldestAt": status.oldest and utc(status.oldest),
        "allowPrivate": webhook.allow_private,
        "publicKey": status.public_key,
        "version": webhook.version,
        "createdAt": utc(webhook.created_at),
    }


def _delivery(one: Delivery) -> dict[str, Any]:
    from watchword.webhooks.signing import message_id_of

    return {
        "id": message_id_of(one.id),
        "topic": one.topic,
        "state": one.state,
        "attempts": one.attempts,
        "triedAt": one.tried_at and utc(one.tried_at),
        "status": one.status,
        "answer": one.answer,
        "createdAt": utc(one.created_at),
    }
