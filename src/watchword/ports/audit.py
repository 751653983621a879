"""The audit log: what happened, by which actor, from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from watchword.core.session import Session
from watchword.ports.outbox import Message


class EventType(StrEnum):
    """What the audit log records; names as in the OWASP Logging Vocabulary."""

    SIGN_IN = "authn_login_success"
    SIGN_IN_FAILED = "authn_login_fail"
    SIGN_IN_THROTTLED = "excess_rate_limit_exceeded"
    STEP_UP = "authn_step_up"
    PASSWORD_CHANGED = "authn_password_change"
    ACCOUNT_CREATED = "user_created"
    ACCOUNT_CHANGED = "user_updated"
    ACCOUNT_DELETED = "user_deleted"
    INVITED = "user_invited"
    INVITATION_WITHDRAWN = "user_invitation_withdrawn"
    TOKEN_REUSE = "authn_token_reuse"
    TOKEN_RETRY = "authn_token_retry"
    TOKEN_REWOUND = "authn_token_rewound"
    SESSION_REVOKED = "authn_token_revoked"
    KEY_CHANGED = "signing_key_updated"
    NEW_NETWORK = "authn_new_network"
    CLIENT_CREATED = "client_created"
    CLIENT_CHANGED = "client_updated"
    CLIENT_FAILED = "client_authn_fail"
    MAIL_FAILED = "mail_failed"
    MAIL_TESTED = "mail_tested"
    FACTOR_ADDED = "authn_factor_added"
    FACTOR_CHANGED = "authn_factor_updated"
    FACTOR_REMOVED = "authn_factor_removed"
    FACTORS_RESET = "authn_factors_reset"
    FACTOR_DEMANDED = "authn_factor_demanded"
    FACTOR_FAILED = "authn_factor_fail"
    RECOVERY_CODES_MADE = "authn_recovery_codes_created"
    RECOVERY_CODE_USED = "authn_recovery_code_used"
    ENROLMENT_ASKED = "authn_enrolment_asked"
    PASSKEY_COUNTER = "authn_passkey_counter"
    CODE_REUSED = "authn_code_reuse"
    CONSENT_GIVEN = "authz_consent_given"
    CONSENT_WITHDRAWN = "authz_consent_withdrawn"
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_CHANGED = "webhook_updated"
    WEBHOOK_DELETED = "webhook_deleted"
    WEBHOOK_FAILED = "webhook_failed"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record. Never holds a token, a password or a retry key."""

    type: EventType
    at: int
    account_id: bytes | None = None
    session_id: bytes | None = None
    client_id: str | None = None
    address: str = ""
    detail: Mapping[str, str | int | bool] = {}

    @classmethod
    def about(
        cls,
        kind: EventType,
        session: Session,
        address: str,
        at: int,
        **detail: str | int | bool,
    ) -> Event:
        """An event of one session."""
        return cls(
            type=kind,
            at=at,
            account_id=session.account_id,
            session_id=session.id,
            client_id=session.client_id,
            address=address,
            detail=detail,
        )


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a list shows: those that are all of this. Empty and None: any.

    `since` and `until` are instants (ms): an event at `until` is not included. An
    `address` is matched whole.
    """

    types: frozenset[EventType] = frozenset()
    account_id: bytes | None = None
    session_id: bytes | None = None
    address: str = ""
    since: int | None = None
    until: int | None = None

    def includes(self, event: Event) -> bool:
        """Whether the event is one of those meant."""
        return (
            (not self.types or event.type in self.types)
            and self.account_id in {None, event.account_id}
            and self.session_id in {None, event.session_id}
            and self.address in {"", event.address}
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )


class EventPage(msgspec.Struct, frozen=True):
    """Events with their sequence numbers, newest first.

    `onward` is the `before` of the next page, None at the end of the log. A page may be
    short or empty although another one follows.
    """

    events: Sequence[tuple[int, Event]]
    onward: int | None = None


class Trail(msgspec.Struct, frozen=True):
    """What a write records, and what it sends: rows of the same transaction."""

    events: tuple[Event, ...] = ()
    outbox: tuple[Message, ...] = ()


class AuditLog(Protocol):
    """Audit events, in the order in which they were committed."""

    async def record(self, event: Event) -> None:
        """Write an event that belongs to no other change."""

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        """Write events that another store committed. Each comes with its place there.

        An event with a place that is already known is left out. So a process that was
        cut off after handing events over, and before deleting them there, can hand them
        over again.
        """

    async def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Events and their sequence numbers, following `after`, oldest first."""

    async def last(self) -> int:
        """The newest sequence number, 0 where there is none."""

    async def search(
        self, wanted: EventFilter, *, before: int | None = None, limit: int, look: int
    ) -> EventPage:
        """Up to `limit` events that are `wanted`, newest first.

        Only sequence numbers less than `before`. MUST look at about `look` rows at
        most, by the index that suits best: of account, session, address, type or time.
        """
