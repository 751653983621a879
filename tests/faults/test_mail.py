"""Kill -9 of `watchword serve` before a mail was delivered, and while it is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.cli.terminal import PASSWORD, Terminal
from tests.mail.smtp import Inbox, mail_server
from tests.patience import auntil
from tests.server.live import Live
from tests.servers.process import free_port
from watchword.core import limits

TO = "ana@example.org"


@pytest.mark.parametrize("delivered", [False, True])
async def test_no_mail_is_lost_with_its_process(
    tmp_path: Path, *, delivered: bool
) -> None:
    """It comes after the restart, as the same message, and then waits no more.

    The mail server was away, or it has taken the message and not said so.
    """
    inbox, port = Inbox(), free_port()
    inbox.answers.clear()
    terminal = Terminal(tmp_path / "data")
    live = Live(
        terminal.data,
        clock=True,
        WATCHWORD_REGISTRATION="open",
        WATCHWORD_MAIL_URL=f"smtp://127.0.0.1:{port}",
    )
    async with AsyncExitStack() as opened:
        if delivered:
            await opened.enter_async_context(mail_server(inbox, port=port))
        with live:
            body = {"email": TO, "password": PASSWORD}
            answer = await asyncio.to_thread(
                live.call, "POST", "/api/auth/register", body
            )
            assert answer.status == 202, answer.raw
            await auntil(lambda: inbox.envelopes or ", try 1: " in live.printed())
            await asyncio.to_thread(live.kill)
        inbox.answers.set()
        (row,) = await asyncio.to_thread(terminal.json, "mail", "list")
        if not delivered:
            await opened.enter_async_context(mail_server(inbox, port=port))
        live.advance(limits.MAIL_LEASE // limits.SECOND)
        with live:
            await auntil(lambda: len(inbox.envelopes) > delivered)

            async def is_over() -> bool:
                waiting = await asyncio.to_thread(terminal.json, "mail", "list")
                return not waiting

            await auntil(is_over)
            await asyncio.to_thread(live.stop)
    assert {one["message-id"].partition("@")[0] for one in inbox.messages} == {
        f"<{row['id']}"
    }
    assert len(inbox.messages) == 1 + delivered
    assert len({one.content for one in inbox.envelopes}) == 1
