"""The folder in which a server on loopback keeps its mail, as a user reads mail."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.patience import until


class Mailbox:
    """The messages to all addresses: each is read once."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "outbox"
        self._read: set[str] = set()

    def link_to(self, address: str) -> str:
        """The link of the next message to that address, as soon as there is one."""
        link = re.search(r"https?://\S+", self.next_to(address))
        assert link is not None
        return link[0]

    def next_to(self, address: str) -> str:
        """The text of the next message to that address."""
        until(lambda: self._find(address) is not None)
        found = self._find(address)
        assert found is not None
        name, message = found
        self._read.add(name)
        body = message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    def _find(self, address: str) -> tuple[str, EmailMessage] | None:
        for file in sorted(self._folder.glob("*.eml")):
            if file.name in self._read:
                continue
            message = message_from_bytes(file.read_bytes(), policy=policy.default)
            assert isinstance(message, EmailMessage)
            if message["to"] == address:
                return file.name, message
        return None
