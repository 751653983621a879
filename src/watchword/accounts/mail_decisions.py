"""Which part of accounts decides what becomes of which mail."""

from __future__ import annotations

from collections.abc import Mapping

from watchword.mail.message import Mail, MailPurpose
from watchword.mail.sender import Decide, Decided, Replaced


class MailDecisions:
    """Asks the part of accounts that a mail came from."""

    def __init__(self, parts: Mapping[MailPurpose, Decide]) -> None:
        self._parts = parts

    async def decide(self, mail: Mail) -> Decided | Replaced | None:
        """See `mail.sender.Decide`.

        A mail without a part is a fault, and so is kept and tried again: a newer
        version, which runs beside this one during an upgrade, may know it.
        """
        return await self._parts[mail.purpose](mail)
