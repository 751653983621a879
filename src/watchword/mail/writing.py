"""Writes mails: seals them into messages that wait in the outbox."""

from __future__ import annotations

from collections.abc import Collection

from watchword.clocks import Entropy
from watchword.core import limits, one_time_token
from watchword.core.one_time_token import TokenPurpose
from watchword.errors import NotFound
from watchword.keys.sealing import Sealing
from watchword.mail.addresses import EmailAddress, read_address
from watchword.mail.message import FALLBACK, Mail, seal_mail
from watchword.ports.outbox import Lane, Message


class MailWriter:
    """Makes the messages of one server, and the one-time tokens in them.

    `can_send` says whether mail can be sent at all. `is_local` says that the server is
    on loopback. Both follow the issuer, which an app may learn later. `locales` are the
    languages that have templates.
    """

    def __init__(
        self,
        sealing: Sealing,
        entropy: Entropy,
        *,
        can_send: bool,
        is_local: bool,
        locales: Collection[str],
    ) -> None:
        self._sealing = sealing
        self._entropy = entropy
        self.can_send = can_send
        self.is_local = is_local
        self._locales = locales

    def require(self) -> None:
        """Raises NotFound where no mail can be sent."""
        if not self.can_send:
            raise NotFound("No mail can be sent: there is no WATCHWORD_MAIL_URL.")

    def read_address(self, text: str) -> EmailAddress:
        """The address that this text is. Raises EmailInvalid.

        On loopback its domain needs no dot.
        """
        return read_address(text, local=self.is_local)

    def locale(self, wanted: str) -> str:
        """The language of mails for a user that wants this one."""
        return wanted if wanted in self._locales else FALLBACK

    def token(self, purpose: TokenPurpose) -> str:
        """A new one-time token. A store gets only its hash."""
        return one_time_token.mint(purpose, self._entropy(limits.ONE_TIME_BYTES))

    def message(self, mail: Mail, lane: Lane, *, network: str = "") -> Message:
        """The message, to be written with what it tells of. It is due at `mail.at`."""
        return seal_mail(mail, self._sealing, self._entropy, lane=lane, network=network)
