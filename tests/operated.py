"""A server with one text in every place that a screen of the console shows."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from watchword.admin.operators import Operator
from watchword.bootstrap import Watchword
from watchword.bootstrap.admin import AdminParts
from watchword.core.actor import APP
from watchword.core.session import Authenticated, SessionOptions, as_text
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.clients import Client
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential, CredentialKind
from watchword.ports.webhooks import Delivery

OPERATOR: Final = Operator(APP, b"an operator's id")
LISTS: Final = ("accounts", "sessions", "events", "clients", "mail", "webhooks")
"""The screens that show the text of all rows."""


class Shown(NamedTuple):
    """What was made, as the addresses of screens name it."""

    subject: str
    client: str
    webhook: str

    @property
    def screens(self) -> list[str]:
        """Those that show this text alone."""
        return [
            f"account?id={self.subject}",
            f"clients?client={self.client}",
            f"webhooks?id={self.webhook}",
        ]


def admin_of(engine: Watchword) -> AdminParts:
    assert engine.admin is not None
    return engine.admin


async def fill(engine: Watchword, text: str) -> Shown:
    """Rows that have the text wherever a row has any, past what the engine checks.

    An older version, an import or another program may have written it.
    """
    now, account_id = engine.clock(), engine.entropy(16)
    client_id = f"client-{account_id.hex()}"
    webhook = await _fill_webhook(engine, text, now)
    account = Account(
        id=account_id,
        name=text,
        password_hash="!",
        roles=(text,),
        created_at=now,
        email=text,
        locale=text,
    )
    event = Event(
        type=EventType.MAIL_FAILED,
        at=now,
        account_id=account_id,
        client_id=text,
        address=text,
        detail={"reason": text, "purpose": text, "by": text},
    )
    await engine.stores.accounts.add(account, Trail((event,)))
    client = Client(
        id=client_id,
        secret_hash=b"hash",
        created_at=now,
        name=text,
        scope=(text,),
        audience=(text,),
        rights=(text,),
        grants=(text,),
        redirect_uris=(text,),
        post_logout_redirect_uris=(text,),
    )
    await engine.stores.clients.add(client, event)
    await engine.sign_in.begin(
        Authenticated(account_id, (text,), 0, ("pwd",), "aal1", now),
        SessionOptions(client_id=client_id),
        address=text,
        user_agent=text,
    )
    factor = Credential(
        id=engine.entropy(16),
        account_id=account_id,
        kind=CredentialKind.PASSKEY,
        created_at=now,
        label=text,
    )
    await engine.stores.credentials.add([factor], Trail())
    consent = Consent(
        account_id=account_id,
        client_id=client_id,
        scope=(text,),
        resource=(text,),
        created_at=now,
        used_at=now,
    )
    await engine.stores.consents.put(consent, None)
    invitation = Confirmation(
        token_hash=engine.entropy(32),
        account_id=None,
        purpose=Purpose.INVITATION,
        email=text,
        email_key=text,
        created_at=now,
        until=now + 1_000_000,
        roles=(text,),
    )
    await engine.stores.confirmations.add(invitation, Trail())
    return Shown(account.subject, client_id, as_text(webhook))


async def _fill_webhook(engine: Watchword, text: str, now: int) -> bytes:
    """A webhook whose address, topics and answers are the text."""
    url = "https://93.184.216.34/"
    before, _ = await admin_of(engine).webhooks.add(OPERATOR, url, ())
    after = replace(before, url=f"https://{text}", topics=(text,))
    await engine.stores.webhooks.swap(before, after, None)
    delivery = Delivery(
        id=engine.entropy(16),
        webhook_id=before.id,
        topic=text,
        body="{}",
        created_at=now,
        not_before=now,
    )
    deliveries = engine.stores.deliveries
    seen = before.handed_over
    assert await deliveries.hand_over(before.id, seen, seen, [delivery])
    await deliveries.settle(replace(delivery, attempts=1, status=502, answer=text))
    return before.id
