"""Passkeys: registered once, and the use of each looked at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.session import as_text, time_ordered_id
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import (
    ContinuationExpired,
    KeyRingError,
    NotFound,
    SecondFactorInvalid,
)
from watchword.factors import webauthn
from watchword.factors.passkey_uses import PasskeyUses
from watchword.factors.rows import checked_name, singleton_id
from watchword.factors.tickets import spend_ticket
from watchword.factors.webauthn import Answer, NewPasskey, RelyingParty
from watchword.keys.sealing import Sealing
from watchword.notices import FactorNotices
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential, CredentialKind, CredentialStore
from watchword.ports.once import ReplayCache
from watchword.ports.throttle import Throttle

DEFAULT_NAME: Final = "Passkey"

_log = logging.getLogger("watchword.passkeys")


class PasskeyOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What a browser is asked with. `challenge` is the ticket of the ceremony."""

    challenge: str
    public_key: dict[str, Any]


class _Creation(msgspec.Struct, frozen=True, kw_only=True):
    """What the ticket of a registration says. `id` is that of the row to come."""

    account_id: bytes
    id: bytes
    handle: bytes
    bound: str
    enrolment: bytes


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the ticket of a proof says."""

    account_id: bytes | None
    bound: str


_OPEN: Final = _Request(account_id=None, bound="")


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What the row of a passkey keeps sealed: a writer of the database plants none."""

    public_key: bytes
    transports: tuple[str, ...]
    is_synced: bool


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Sealed).decode


class Passkeys:
    """Registers passkeys, and checks what they sign.

    `party` is None where passkeys are off. Verbs that ask for one, or read an answer,
    then raise NotFound.
    """

    def __init__(
        self,
        *,
        party: RelyingParty | None,
        credentials: CredentialStore,
        sealing: Sealing,
        tickets: Tickets,
        once: ReplayCache,
        notices: FactorNotices,
        throttle: Throttle,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.party = party
        self._credentials = credentials
        self._sealing = sealing
        self._tickets = tickets
        self._once = once
        self._uses = PasskeyUses(
            credentials=credentials, notices=notices, throttle=throttle, clock=clock
        )
        self._clock = clock
        self._entropy = entropy

    @property
    def is_on(self) -> bool:
        """Whether passkeys can be used now.

        An app may learn its issuer, which they are bound to, while it serves.
        """
        return self.party is not None

    def is_synced(self, row: Credential) -> bool:
        """Whether the passkey is one that its owner's devices share.

        Raises KeyRingError for a row that cannot be opened.
        """
        return self._open(row).is_synced

    def amr_of(self, row: Credential) -> tuple[str, ...]:
        """The methods (RFC 8176 §2) that a proof by this passkey stands for."""
        return ("swk" if self.is_synced(row) else "hwk", "user", "mfa")

    async def options_to_register(
        self, account_id: bytes, name: str, *, bound: str, enrolment: bytes = b""
    ) -> PasskeyOptions:
        """Options for `navigator.credentials.create`.

        `name` is the user's. `bound` is what the ceremony belongs to: a session's
        `sid`, or the id of a continuation. Makes the user's handle if there is none.
        """
        party = self._relying_party()
        rows = await self._credentials.of_account(account_id)
        handle = _handle_of(rows) or await self._new_handle(account_id)
        statement = _Creation(
            account_id=account_id,
            id=time_ordered_id(self._clock(), self._entropy(10)),
            handle=handle,
            bound=bound,
            enrolment=enrolment,
        )
        challenge = self._tickets.seal(TicketPurpose.PASSKEY_ENROL, statement)
        options = webauthn.creation_options(
            party,
            challenge=webauthn.challenge_of(challenge),
            handle=handle,
            name=name,
            exclude=self.exclude(rows),
        )
        return PasskeyOptions(challenge, options)

    async def registered(
        self,
        account_id: bytes,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        bound: str,
    ) -> tuple[Credential, bytes]:
        """The row to add for a new passkey, and the id of the enrolment token.

        A retry finds the row that is there. Raises ContinuationExpired for a challenge
        that has run out, was used or is bound otherwise; SecondFactorInvalid where the
        answer does not hold; InvalidRequest for a name that no factor can have.
        """
        party = self._relying_party()
        label = checked_name(name) or DEFAULT_NAME
        asked = self._opened(TicketPurpose.PASSKEY_ENROL, challenge, _Creation)
        if asked.account_id != account_id or asked.bound != bound:
            raise ContinuationExpired
        new = webauthn.check_new(credential, webauthn.challenge_of(challenge), party)
        there = await self._credentials.by_key(CredentialKind.PASSKEY, new.id)
        if there is not None and there.id == asked.id:
            return there, asked.enrolment
        if there is not None:
            raise SecondFactorInvalid
        # Since the options were made, an operator may have reset the user's factors.
        handle = await self._credentials.by_key(CredentialKind.HANDLE, asked.handle)
        if handle is None or handle.account_id != account_id:
            raise ContinuationExpired
        await self._spend(challenge)
        return self._row_for(new, asked, label), asked.enrolment

    def _row_for(self, new: NewPasskey, asked: _Creation, label: str) -> Credential:
        sealed = _Sealed(
            public_key=new.public_key,
            transports=new.transports,
            is_synced=new.is_synced,
        )
        return Credential(
            id=asked.id,
            account_id=asked.account_id,
            kind=CredentialKind.PASSKEY,
            key=new.id,
            label=label,
            sealed=self._sealing.seal(_encode(sealed), asked.account_id + asked.id),
            created_at=self._clock(),
            step=new.counter,
        )

    async def options_to_prove(
        self, *, account_id: bytes | None = None, bound: str = ""
    ) -> PasskeyOptions:
        """Options for `navigator.credentials.get`.

        Without an account, any passkey of this server may answer (a discoverable
        sign-in): the list of allowed credentials is empty. Raises NotFound for an
        account without passkeys.
        """
        party = self._relying_party()
        allow: list[dict[str, Any]] = []
        if account_id is not None:
            allow = self.exclude(await self._credentials.of_account(account_id))
            if not allow:  # an empty list would allow every passkey
                raise NotFound
        statement = _Request(account_id=account_id, bound=bound)
        challenge = self._tickets.seal(_purpose_of(statement), statement)
        options = webauthn.request_options(
            party, challenge=webauthn.challenge_of(challenge), allow=allow
        )
        return PasskeyOptions(challenge, options)

    async def owner_of(self, credential: dict[str, Any]) -> bytes | None:
        """The user that an answer names: nothing of it is checked.

        None where the passkey is not known, or where that is no answer. Raises
        NotFound where passkeys are off.
        """
        self._relying_party()
        try:
            named = webauthn.read_answer(credential).id
        except SecondFactorInvalid:
            return None
        row = await self._credentials.by_key(CredentialKind.PASSKEY, named)
        return None if row is None else row.account_id

    async def prove(
        self,
        challenge: str,
        credential: dict[str, Any],
        *,
        account_id: bytes | None = None,
        bound: str = "",
    ) -> tuple[Credential, tuple[str, ...]]:
        """The passkey that answered, with counter and use moved, and its `amr`.

        Account and `bound` are those of the options. A user that is known may answer
        open options too. Raises NotFound where passkeys are off, ContinuationExpired,
        SecondFactorInvalid, StoreUnavailable.
        """
        party = self._relying_party()
        self.check_asked(challenge, account_id=account_id, bound=bound)
        answer = webauthn.read_answer(credential)
        row = await self._row_of(answer, account_id)
        kept = self._opened_for_proof(row)
        counter = webauthn.check_answer(
            answer,
            webauthn.challenge_of(challenge),
            party,
            public_key=kept.public_key,
            is_synced=kept.is_synced,
        )
        await self._spend(challenge)
        row = await self._uses.moved(row, counter, is_synced=kept.is_synced)
        return row, self.amr_of(row)

    def check_asked(
        self, challenge: str, *, account_id: bytes | None = None, bound: str = ""
    ) -> None:
        """Raises ContinuationExpired for a challenge that was not made for this.

        Nothing is read or written: whatever a caller invents costs no more than that.
        Raises NotFound where passkeys are off.
        """
        self._relying_party()
        expected = _Request(account_id=account_id, bound=bound)
        try:
            asked = self._opened(_purpose_of(expected), challenge, _Request)
        except ContinuationExpired:
            if account_id is None:
                raise
            # A user that is known may as well answer what any passkey may answer.
            expected = _OPEN
            asked = self._opened(_purpose_of(expected), challenge, _Request)
        if asked != expected:
            raise ContinuationExpired

    def exclude(self, rows: Sequence[Credential]) -> list[dict[str, Any]]:
        """The descriptors of passkeys that a user has."""
        return [
            webauthn.descriptor(row.key, self._open(row).transports)
            for row in rows
            if row.kind is CredentialKind.PASSKEY
        ]

    def _relying_party(self) -> RelyingParty:
        if self.party is None:
            raise NotFound("Passkeys are off.")
        return self.party

    async def _new_handle(self, account_id: bytes) -> bytes:
        """The user's handle, made by this call or by one at the same time."""
        kind = CredentialKind.HANDLE
        made = Credential(
            id=singleton_id(kind, account_id),
            account_id=account_id,
            kind=kind,
            key=self._entropy(limits.PASSKEY_HANDLE_BYTES),
            created_at=self._clock(),
        )
        if await self._credentials.add([made], Trail()):
            return made.key
        handle = _handle_of(await self._credentials.of_account(account_id))
        if handle is None:  # removed in this moment, by a reset
            raise ContinuationExpired
        return handle

    def _opened(
        self, purpose: TicketPurpose, text: str, kind: type[webauthn.Kind]
    ) -> webauthn.Kind:
        try:
            return self._tickets.open(purpose, text, kind)
        except TicketInvalid:
            raise ContinuationExpired from None

    async def _row_of(self, answer: Answer, account_id: bytes | None) -> Credential:
        """The passkey that the answer names. Raises SecondFactorInvalid."""
        row = await self._credentials.by_key(CredentialKind.PASSKEY, answer.id)
        if row is None or account_id not in {None, row.account_id}:
            raise SecondFactorInvalid
        if answer.user_handle is None:
            # Authenticators leave it out only where the passkey was named (§6.3.3).
            if account_id is None:
                raise SecondFactorInvalid
            return row
        key = answer.user_handle
        handle = await self._credentials.by_key(CredentialKind.HANDLE, key)
        if handle is None or handle.account_id != row.account_id:
            raise SecondFactorInvalid
        return row

    async def _spend(self, challenge: str) -> None:
        """Raises ContinuationExpired for a challenge that was answered before."""
        name = self._tickets.id_of(challenge)
        await spend_ticket(self._once, name, self._clock())

    def _opened_for_proof(self, row: Credential) -> _Sealed:
        """Raises SecondFactorInvalid for a row that was altered in the database."""
        try:
            return self._open(row)
        except KeyRingError:
            _log.exception("the passkey %s cannot be opened", as_text(row.id))
            raise SecondFactorInvalid from None

    def _open(self, row: Credential) -> _Sealed:
        return _decode(self._sealing.open(row.sealed, row.account_id + row.id))


def _purpose_of(request: _Request) -> TicketPurpose:
    """The first proof of a sign-in, or one of a user that is known already."""
    is_open = request.account_id is None
    return TicketPurpose.PASSKEY_LOGIN if is_open else TicketPurpose.PASSKEY_STEP


def _handle_of(rows: Sequence[Credential]) -> bytes | None:
    for row in rows:
        if row.kind is CredentialKind.HANDLE:
            return row.key
    return None
