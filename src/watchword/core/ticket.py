"""Tickets: sealed, purpose-bound statements that a client carries for a few minutes.

    prefix | base64url( salt 16 | AES-256-GCM( instant 8 | life 8 | statement ) )

Each ticket has a key of its own: HMAC-SHA-256 of the salt under a key that is derived
from the server secret. The purpose is the associated data, so a ticket of one purpose
is none of another. What may serve once is named to `use_once`, by the id of the ticket.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.core import base64url, limits

_SALT: Final = 16
_TAG: Final = 16
_HEAD: Final = 8 + 8
# A key is used for one ticket alone, so a fixed nonce never comes twice with it.
_NONCE: Final = bytes(12)

Statement = TypeVar("Statement", bound=msgspec.Struct)


class TicketPurpose(StrEnum):
    """What a ticket is for."""

    LOGIN = "login"
    """The first factor was right, the second is to come."""
    ENROL = "enrol"
    """The password was right, and a factor has to be enrolled."""
    RESET = "reset"
    """The token of a reset was right, the second factor is to come."""
    TOTP = "totp"
    """The secret of an authenticator app that is not confirmed yet."""
    PASSKEY_LOGIN = "wc-login"
    PASSKEY_ENROL = "wc-enrol"
    PASSKEY_STEP = "wc-step"
    INTERACTION = "interaction"
    """The request of a client, while pages ask the user."""
    PAR = "par"
    """A request that a client has pushed, until the browser comes with it."""
    CODE = "code"
    """An authorization code."""
    CURSOR = "cursor"
    """Where the next page of a list begins."""
    ADMIN_COOKIE = "admin-cookie"
    """The sign-in of a browser at the admin listener."""
    LOGOUT = "logout"
    """A request to sign out: one that came by POST, or that the user is asked about."""


_CONTINUATION: Final = "ww_ct_"
_CEREMONY: Final = "ww_wc_"
_KINDS: Final = {
    TicketPurpose.LOGIN: (_CONTINUATION, limits.CONTINUATION_LIFE),
    TicketPurpose.ENROL: (_CONTINUATION, limits.CONTINUATION_LIFE),
    TicketPurpose.RESET: (_CONTINUATION, limits.CONTINUATION_LIFE),
    TicketPurpose.TOTP: ("ww_tf_", limits.TOTP_PENDING_LIFE),
    TicketPurpose.PASSKEY_LOGIN: (_CEREMONY, limits.CONTINUATION_LIFE),
    TicketPurpose.PASSKEY_ENROL: (_CEREMONY, limits.CONTINUATION_LIFE),
    TicketPurpose.PASSKEY_STEP: (_CEREMONY, limits.CONTINUATION_LIFE),
    TicketPurpose.INTERACTION: ("ww_in_", limits.INTERACTION_LIFE),
    TicketPurpose.PAR: ("ww_par_", limits.PAR_LIFE),
    TicketPurpose.CODE: ("ww_ac_", limits.REFRESH_ABSOLUTE),
    TicketPurpose.CURSOR: ("ww_cu_", limits.CURSOR_LIFE),
    TicketPurpose.ADMIN_COOKIE: ("ww_as_", limits.SIGN_IN_ABSOLUTE),
    TicketPurpose.LOGOUT: ("ww_lo_", limits.PAR_LIFE),
}
"""What a ticket of each purpose begins with, and its life in milliseconds."""


class TicketInvalid(ValueError):
    """No ticket of this server for that purpose, or one that has run out."""


class Tickets:
    """Seals and opens tickets. The first secret seals, all of them open.

    `secrets` are keys of 32 bytes that are derived for this. `clock` is in
    milliseconds, `entropy` gives random bytes.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._entropy = entropy

    def seal(
        self,
        purpose: TicketPurpose,
        statement: msgspec.Struct,
        *,
        life: int | None = None,
    ) -> str:
        """The ticket with that statement, of this instant.

        `life` (ms) is that of its purpose where None. Raises ValueError for a statement
        that makes it longer than TICKET_MAX.
        """
        prefix, usual = _KINDS[purpose]
        life = usual if life is None else life
        salt = self._entropy(_SALT)
        head = self._clock().to_bytes(8) + life.to_bytes(8)
        plain = head + msgspec.msgpack.encode(statement)
        sealed = _cipher(self._secrets[0], salt).encrypt(
            _NONCE, plain, purpose.encode()
        )
        text = prefix + base64url.encode(salt + sealed).decode()
        if len(text) > limits.TICKET_MAX:
            raise ValueError("the statement is too long for a ticket")
        return text

    def open(
        self, purpose: TicketPurpose, text: str, kind: type[Statement]
    ) -> Statement:
        """The statement in a ticket. Raises TicketInvalid, also where its life is over.

        The life is that which it was sealed with, in both directions: a ticket from the
        future is refused too.
        """
        plain = self._unsealed(purpose, text)
        issued = int.from_bytes(plain[:8])
        life = int.from_bytes(plain[8:_HEAD])
        if abs(self._clock() - issued) > life:
            raise TicketInvalid
        try:
            return msgspec.msgpack.decode(plain[_HEAD:], type=kind)
        except msgspec.MsgspecError:  # another version of Watchword sealed it
            raise TicketInvalid from None

    def id_of(self, text: str) -> str:
        """The name of a ticket for `use_once`: it says nothing of its contents.

        A ticket has one spelling that `open` accepts, and so one name.
        """
        return hashlib.sha256(text.encode()).hexdigest()

    def _unsealed(self, purpose: TicketPurpose, text: str) -> bytes:
        prefix, _ = _KINDS[purpose]
        if len(text) > limits.TICKET_MAX or not text.startswith(prefix):
            raise TicketInvalid
        shown = text.removeprefix(prefix)
        try:
            raw = base64url.decode(shown)
        except ValueError:
            raise TicketInvalid from None
        if base64url.encode(raw).decode() != shown or len(raw) < _SALT + _HEAD + _TAG:
            raise TicketInvalid
        for secret in self._secrets:
            cipher = _cipher(secret, raw[:_SALT])
            try:
                return cipher.decrypt(_NONCE, raw[_SALT:], purpose.encode())
            except InvalidTag:
                continue
        raise TicketInvalid


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(secret, salt, "sha256"))
