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
    written = (data / "outbox").glob("*.eml")
    # Their names are in order of time by the server's clock, which may stand still.
    files = sorted(written, key=lambda file: file.stat().st_mtime_ns)
    found = [email.message_from_bytes(file.read_bytes(), policy=SMTP) for file in files]
    return [cast("EmailMessage", m) for m in found if address in m["To"]]


def token_to(data: Path, address: str, number: int = 1) -> str:
    """The token that came to that address as the `number`th, once it has come."""
    until(lambda: len(_tokens(data, address)) >= number)
    return _tokens(data, address)[number - 1]


def _tokens(data: Path, address: str) -> list[str]:
    bodies = [one.get_body(("plain",)) for one in messages(data, address)]
    texts = [body.get_content() for body in bodies if body is not None]
    return [re.findall(r"ww_cf_[\w-]+", t)[0] for t in texts if "ww_cf_" in t]
