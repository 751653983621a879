"""The folder in which a server on loopback keeps its mail, as a user reads mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.patience import until


class Mailbox:
    """The messages to all addresses: each is read once."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "outbox"
        self._read: set[str] = set()

    def link_to(self, address: str) -> str:
        """The link of the next message to that address, as soon as there is one."""
        (link,) = re.findall(r"https?://\S+", self.next_to(address))
        return str(link)

    def token_to(self, address: str) -> str:
        """The token of the next message to that address that has one."""
        text = self.next_to(address, "ww_cf_")
        return str(re.findall(r"ww_cf_[\w-]+", text)[0])

    def next_to(self, address: str, text: str = "") -> str:
        """The next message to that address in which there is that text."""
        until(lambda: any(self._unread(address, text)))
        name, body = next(self._unread(address, text))
        self._read.add(name)
        return body

    def _unread(self, address: str, text: str) -> Iterator[tuple[str, str]]:
        written = self._folder.glob("*.eml")
        # Their names are in order of time by the server's clock, which may stand still.
        for file in sorted(written, key=lambda one: one.stat().st_mtime_ns):
            message = message_from_bytes(file.read_bytes(), policy=default)
            assert isinstance(message, EmailMessage)
            body = message.get_body(("plain",))
            assert body is not None
            content = str(body.get_content())
            if file.name in self._read or message["to"] != address:
                continue
            if text in content:
                yield file.name, content
