"""`Mail`: what is to be told, and to which address, as it waits in the outbox.

It is sealed: a reader of the database finds neither addresses nor tokens. What the
message says in the end is decided when it is sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from watchword.clocks import Entropy
from watchword.core.one_time_token import TokenPurpose
from watchword.core.session import time_ordered_id
from watchword.keys.sealing import Sealing
from watchword.ports.outbox import Lane, Message, MessageKind

FALLBACK: Final = "en"
"""The language that every mail has a template in."""

SEALED_AS: Final = "outbox"
"""The label of the `Sealing` for the outbox."""


class MailPurpose(StrEnum):
    """What a mail is for. Each has a template of that name."""

    CONFIRM = "confirm"
    """A registration that waits for its confirmation."""

    ALREADY_REGISTERED = "already-registered"
    """A registration for an address that has an account."""

    INVITATION = "invitation"
    RESET = "reset"
    CONFIRM_EMAIL = "confirm-email"
    """To the new address of an account that changes its address."""

    EMAIL_CHANGED = "email-changed"
    """To the old address, with the way back."""

    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a purpose
    ACCOUNT_DELETED = "account-deleted"
    NEW_NETWORK = "new-network"
    """The sign-in of a browser is used from a network that it was not used from."""

    FACTOR_ADDED = "factor-added"
    FACTOR_REMOVED = "factor-removed"
    FACTOR_RENAMED = "factor-renamed"
    FACTORS_RESET = "factors-reset"
    """An operator has removed all factors of an account."""

    RECOVERY_CODES_MADE = "recovery-codes-made"
    RECOVERY_CODE_USED = "recovery-code-used"
    FACTOR_FAILED = "factor-failed"
    """The right password, and three wrong factors after it."""

    FACTOR_LOCKED = "factor-locked"
    """A hundred wrong codes: only passkeys and recovery codes are accepted."""

    PASSKEY_COUNTER = "passkey-counter"
    """The counter of a passkey went back: it may have been copied."""

    ENROL = "enrol"
    """A token to enrol the first factor with."""

    TEST = "test"
    """From `watchword mail test`."""


NOTICES: Final = frozenset(
    {
        MailPurpose.EMAIL_CHANGED,
        MailPurpose.PASSWORD_CHANGED,
        MailPurpose.ACCOUNT_DELETED,
        MailPurpose.NEW_NETWORK,
        MailPurpose.FACTOR_ADDED,
        MailPurpose.FACTOR_REMOVED,
        MailPurpose.FACTOR_RENAMED,
        MailPurpose.FACTORS_RESET,
        MailPurpose.RECOVERY_CODES_MADE,
        MailPurpose.RECOVERY_CODE_USED,
        MailPurpose.FACTOR_FAILED,
        MailPurpose.FACTOR_LOCKED,
        MailPurpose.PASSKEY_COUNTER,
    }
)
"""Mails that tell the owner of an account what happened to it.

They are always sent, and not counted. A thief that has an account's session could
otherwise use up the mails to its owner: before changing the address, or so that no
reset gets through.
"""


TOKENS: Final = {
    MailPurpose.CONFIRM: TokenPurpose.REGISTRATION,
    MailPurpose.INVITATION: TokenPurpose.INVITATION,
    MailPurpose.RESET: TokenPurpose.RESET,
    MailPurpose.CONFIRM_EMAIL: TokenPurpose.EMAIL,
    MailPurpose.EMAIL_CHANGED: TokenPurpose.REVERT,
    MailPurpose.ENROL: TokenPurpose.ENROL,
}
"""The mails that carry a one-time token, and what it is for."""


class Mail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One mail: to an address, or to whatever address an account has by then.

    `at` is the instant of what it tells of. `token` is for the link. `masked` is
    another address that the mail names, `network` the network address of a request,
    `factor` the kind of a second factor (`totp`, `passkey`); `left` is the number of
    recovery codes that are left. A mail with an `account_id` is deleted with its
    account: one that tells of the account's end has none. `registration` is the SHA-256
    of a registration's handle, where its mail is sent again with a new token.
    """

    purpose: MailPurpose
    at: int
    locale: str = FALLBACK
    to: str = ""
    account_id: bytes | None = None
    token: str = ""
    masked: str = ""
    network: str = ""
    factor: str = ""
    left: int = 0
    registration: bytes = b""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Mail).decode


def seal_mail(
    mail: Mail,
    sealing: Sealing,
    entropy: Entropy,
    *,
    lane: Lane,
    network: str = "",
) -> Message:
    """The row of the outbox with this mail in it, to be sent at once."""
    message_id = time_ordered_id(mail.at, entropy(10))
    return Message(
        id=message_id,
        kind=MessageKind.MAIL,
        sealed=sealing.seal(_encode(mail), message_id),
        not_before=mail.at,
        account_id=mail.account_id,
        lane=lane,
        network=network,
    )


def open_mail(message: Message, sealing: Sealing) -> Mail:
    """The mail in a row of the outbox.

    Raises KeyRingError where it cannot be opened, and msgspec.ValidationError for a
    mail of a kind that only a newer version knows.
    """
    return _decode(sealing.open(message.sealed, message.id))
