"""What a server on loopback has mailed: the files of its outbox folder."""

from __future__ import annotations

import email
import re
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import cast

from tests.patience import until


def messages(data: Path, address: str = "") -> list[EmailMessage]:
    """The messages in a data folder, to that address if one is given, oldest first."""
    files = sorted((data / "outbox").glob("*.eml"))
    found = [email.message_from_bytes(file.read_bytes(), policy=SMTP) for file in files]
    return [cast("EmailMessage", m) for m in found if address in m["To"]]


def token_to(data: Path, address: str, number: int = 1) -> str:
    """The token in the message to that address, once so many have come."""
    until(lambda: len(messages(data, address)) >= number)
    text = messages(data, address)[number - 1].get_body(("plain",))
    assert text is not None
    return re.findall(r"ww_cf_[\w-]+", text.get_content())[0]
