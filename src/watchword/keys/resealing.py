"""The server secrets that rows of the stores are sealed under: mails and credentials.

Both tables are treated alike: what an old secret has sealed is counted, and sealed anew
under the first one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from watchword.core.limits import LIST_PAGE
from watchword.errors import KeyRingError
from watchword.keys.sealing import Sealing
from watchword.ports.credentials import CredentialStore
from watchword.ports.outbox import Outbox
from watchword.ports.webhooks import WebhookStore


class SealedRow(NamedTuple):
    """The sealed contents of a row, and the associated data that they are bound to."""

    id: bytes
    sealed: bytes
    bound: bytes


class SealedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table with sealed contents. `one` and `many` say what is sealed in it.

    `page` returns rows in order of id, following the id that it is given. `reseal`
    writes, by id, the second of two contents where the row has the first one.
    """

    one: str
    many: str
    sealing: Sealing
    sealed_under: Callable[[], Awaitable[Mapping[bytes, int]]]
    page: Callable[[bytes], Awaitable[Sequence[SealedRow]]]
    reseal: Callable[[Mapping[bytes, tuple[bytes, bytes]]], Awaitable[None]]


def sealed_mails(outbox: Outbox, sealing: Sealing) -> SealedTable:
    """The mail of the outbox. Its sender gives up a row that was altered."""

    async def page(after: bytes) -> Sequence[SealedRow]:
        rows = [one.message for one in await outbox.list(after=after, limit=LIST_PAGE)]
        return [SealedRow(row.id, row.sealed, row.id) for row in rows]

    async def reseal(again: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        await outbox.reseal({row: after for row, (_, after) in again.items()})

    return SealedTable(
        one="mail waits",
        many="mails wait",
        sealing=sealing,
        sealed_under=outbox.sealed_under,
        page=page,
        reseal=reseal,
    )


def sealed_credentials(credentials: CredentialStore, sealing: Sealing) -> SealedTable:
    """The second factors of users."""

    async def page(after: bytes) -> Sequence[SealedRow]:
        rows = await credentials.sealed(after=after, limit=LIST_PAGE)
        return [SealedRow(row.id, row.sealed, row.account_id + row.id) for row in rows]

    return SealedTable(
        one="second factor is sealed",
        many="second factors are sealed",
        sealing=sealing,
        sealed_under=credentials.sealed_under,
        page=page,
        reseal=credentials.reseal,
    )


def sealed_webhooks(webhooks: WebhookStore, sealing: Sealing) -> SealedTable:
    """The secrets of webhooks."""

    async def page(after: bytes) -> Sequence[SealedRow]:
        rows = [] if after else await webhooks.all()
        return [SealedRow(row.id, row.sealed, row.id) for row in rows]

    return SealedTable(
        one="webhook is sealed",
        many="webhooks are sealed",
        sealing=sealing,
        sealed_under=webhooks.sealed_under,
        page=page,
        reseal=webhooks.reseal,
    )


async def check_seals(tables: Sequence[SealedTable]) -> list[SealedTable]:
    """Those of the tables where another secret than the first has sealed a row.

    Raises KeyRingError where a row needs a secret that is not here: a mail would be
    lost try by try, and a user could not sign in.
    """
    older = []
    for table in tables:
        first, *_ = names = table.sealing.names
        under = await table.sealed_under()
        for name in under.keys() - set(names):
            count = under[name]
            rows = f"1 {table.one}" if count == 1 else f"{count} {table.many}"
            message = (
                f"{rows} under the server secret {name[:4].hex()}, which is not in "
                "WATCHWORD_SECRET: put it back behind the first one, and start anew; "
                "then `watchword keys secrets` says when it may go"
            )
            raise KeyRingError(message)
        if under.keys() - {first}:
            older.append(table)
    return older


async def seal_again(tables: Sequence[SealedTable]) -> None:
    """Seal all rows of the tables under the first secret, page by page.

    A row that was altered is left as it is. Raises KeyRingError as `check_seals`.
    """
    for table in await check_seals(tables):
        sealing, after = table.sealing, b""
        first, *_ = sealing.names
        while page := await table.page(after):
            again = {}
            for row in page:
                if row.sealed.startswith(first):
                    continue
                with contextlib.suppress(KeyRingError):
                    plain = sealing.open(row.sealed, row.bound)
                    again[row.id] = (row.sealed, sealing.seal(plain, row.bound))
            await table.reseal(again)
            after = page[-1].id
