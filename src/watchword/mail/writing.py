"""Writes mails: seals them into messages that wait in the outbox."""

from __future__ import annotations

from watchword.clocks import Entropy
from watchword.core import limits, one_time_token
from watchword.core.one_time_token import TokenPurpose
from watchword.keys.sealing import Sealing
from watchword.mail.message import Mail, seal_mail
from watchword.ports.outbox import Lane, Message


class MailWriter:
    """Makes the messages of one server, and the one-time tokens in them."""

    def __init__(self, sealing: Sealing, entropy: Entropy) -> None:
        self._sealing = sealing
        self._entropy = entropy

    def token(self, purpose: TokenPurpose) -> str:
        """A new one-time token. A store gets only its hash."""
        return one_time_token.mint(purpose, self._entropy(limits.ONE_TIME_BYTES))

    def message(self, mail: Mail, lane: Lane, *, network: str = "") -> Message:
        """The message, to be written with what it tells of. It is due at `mail.at`."""
        return seal_mail(mail, self._sealing, self._entropy, lane=lane, network=network)
