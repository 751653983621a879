"""The server secrets that the mail of the outbox is sealed under."""

from __future__ import annotations

import contextlib

from watchword.core.limits import LIST_PAGE
from watchword.errors import KeyRingError
from watchword.keys.sealing import Sealing
from watchword.ports.outbox import Outbox


async def check_seals(outbox: Outbox, sealing: Sealing) -> bool:
    """Whether any mail waits that another secret than the first has sealed.

    Raises KeyRingError where mail waits under a secret that is not here: it would be
    lost, try by try.
    """
    first, *_ = names = sealing.names
    waiting = await outbox.sealed_under()
    for name, count in waiting.items():
        if name not in names:
            mails = "1 mail waits" if count == 1 else f"{count} mails wait"
            message = (
                f"{mails} under the server secret {name[:4].hex()}, which is not in "
                "WATCHWORD_SECRET: put it back behind the first one, and start anew; "
                "then `watchword keys secrets` says when it may go"
            )
            raise KeyRingError(message)
    return bool(waiting.keys() - {first})


async def seal_again(outbox: Outbox, sealing: Sealing) -> None:
    """Seal what waits under the first secret, page by page. See `check_seals`.

    A row that was altered is left to the sender, which gives it up.
    """
    if not await check_seals(outbox, sealing):
        return
    first, *_ = sealing.names
    after = b""
    while page := await outbox.list(after=after, limit=LIST_PAGE):
        again = {}
        for one in (row.message for row in page):
            if one.sealed.startswith(first):
                continue
            with contextlib.suppress(KeyRingError):
                again[one.id] = sealing.seal(sealing.open(one.sealed, one.id), one.id)
        await outbox.reseal(again)
        after = page[-1].message.id
