"""What a mail server may do: no answer of ours changes, and no mail is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.client.test_tls import LASTING, certificate
from tests.mail.smtp import Inbox, mail_server
from tests.servers.process import free_port
from watchword.bootstrap import open_watchword
from watchword.config import load_settings
from watchword.core import limits
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.testing import ManualClock, SeededEntropy

TO = "ana@example.org"
PASSWORD = "correct horse battery staple 41"


@asynccontextmanager
async def faulty(fault: str, inbox: Inbox, folder: Path) -> AsyncIterator[str]:
    """The URL of a mail server that does not take mail to `TO`."""
    untrusted = certificate(folder, "127.0.0.1", LASTING)
    if fault == "away":
        yield f"smtp://127.0.0.1:{free_port()}"
    elif fault == "untrusted":
        async with mail_server(inbox, untrusted, direct=True) as port:
            yield f"smtps://127.0.0.1:{port}"
    else:
        inbox.refused[TO] = fault
        async with mail_server(inbox) as port:
            yield f"smtp://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("away", "nothing listens there"),
        ("untrusted", "certificate is not accepted"),
        ("451 try again later", "the mail server answered 451"),
        ("550 no such mailbox", "the mail server answered 550"),
    ],
)
async def test_a_fault_of_the_mail_server_is_told_to_the_operator_alone(
    fault: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A user that registers gets the same answer, and the mail once it is mended."""
    clock, inbox = ManualClock(), Inbox()
    async with faulty(fault, inbox, tmp_path) as url:
        settings = load_settings(
            data=tmp_path, database_url="memory:", mail_url=url, registration="open"
        )
        async with open_watchword(
            settings,
            clock=clock,
            entropy=SeededEntropy(),
            hashing=INSECURE_FOR_TESTS,
            background=False,
        ) as engine:
            assert engine.self_service is not None
            assert engine.mail is not None
            handle = await engine.self_service.registrations.ask(TO, PASSWORD)
            assert handle.startswith("ww_rg_")
            await engine.mail.send_due()
            await engine.mail.close()
            (row,) = await engine.stores.outbox.list(limit=9)
            assert row.attempts == 1
            # The mail server of the test logs too, as loudly as other tests ask for.
            ours = [one for one in caplog.records if one.name.startswith("watchword")]
            told = "\n".join(one.getMessage() for one in ours)
            assert said in told
            assert TO not in told
            clock.advance(limits.MAIL_BACKOFF)
            inbox.refused.clear()
            await engine.mail.send_due()
            await engine.mail.close()
            sent = [one["message-id"] for one in inbox.messages]
            is_mended = fault[0].isdigit()
            assert sent == [f"<{row.message.id.hex()}@127.0.0.1>"] * is_mended
            assert len(await engine.stores.outbox.list(limit=9)) == (not is_mended)
