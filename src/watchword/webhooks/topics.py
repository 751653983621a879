"""Which audit event is which topic of webhooks, and of the lists of events.

A topic says what to look at, not what it became: a delivery has ids only, and the order
of deliveries is not promised. So the type of an event decides. One detail counts: a
sign-in that was `renewed` went on with a session that there was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from watchword.errors import InvalidRequest
from watchword.ports.audit import Event, EventType

_OF_TYPE: Final[Mapping[EventType, tuple[str, ...]]] = {
    EventType.SIGN_IN: ("sign_in.succeeded", "session.started"),
    EventType.SIGN_IN_FAILED: ("sign_in.failed",),
    EventType.SIGN_IN_THROTTLED: ("sign_in.throttled",),
    EventType.STEP_UP: ("sign_in.stepped_up",),
    EventType.NEW_NETWORK: ("sign_in.new_network",),
    EventType.ACCOUNT_CREATED: ("account.created",),
    EventType.ACCOUNT_CHANGED: ("account.updated",),
    EventType.ACCOUNT_DELETED: ("account.deleted",),
    EventType.INVITED: ("account.invited",),
    EventType.INVITATION_WITHDRAWN: ("account.invitation_withdrawn",),
    EventType.PASSWORD_CHANGED: ("account.password_changed",),
    EventType.CONSENT_GIVEN: ("account.consent_given",),
    EventType.CONSENT_WITHDRAWN: ("account.consent_withdrawn",),
    EventType.TOKEN_REUSE: ("session.reused", "session.ended"),
    EventType.CODE_REUSED: ("session.reused", "session.ended"),
    EventType.SESSION_REVOKED: ("session.ended",),
    EventType.TOKEN_RETRY: (),
    EventType.TOKEN_REWOUND: (),
    EventType.FACTOR_ADDED: ("factor.added",),
    EventType.FACTOR_CHANGED: ("factor.updated",),
    EventType.FACTOR_REMOVED: ("factor.removed",),
    EventType.FACTORS_RESET: ("factor.reset",),
    EventType.FACTOR_DEMANDED: ("factor.demanded",),
    EventType.FACTOR_FAILED: ("factor.failed",),
    EventType.RECOVERY_CODES_MADE: ("factor.recovery_codes_created",),
    EventType.RECOVERY_CODE_USED: ("factor.recovery_code_used",),
    EventType.ENROLMENT_ASKED: ("factor.enrolment_asked",),
    EventType.PASSKEY_COUNTER: ("factor.passkey_counter",),
    EventType.CLIENT_CREATED: ("client.created",),
    EventType.CLIENT_CHANGED: ("client.updated",),
    EventType.CLIENT_FAILED: ("client.failed",),
    EventType.KEY_CHANGED: ("key.rotated",),
    # For operators: metrics and alerts tell of these.
    EventType.MAIL_FAILED: (),
    EventType.MAIL_TESTED: (),
    # A webhook that hears of webhooks would hear of its own failures.
    EventType.WEBHOOK_CREATED: (),
    EventType.WEBHOOK_CHANGED: (),
    EventType.WEBHOOK_DELETED: (),
    EventType.WEBHOOK_FAILED: (),
}

TOPICS: Final = tuple(
    dict.fromkeys(topic for topics in _OF_TYPE.values() for topic in topics)
)
"""Every topic, those of a group together."""

GROUPS: Final = tuple(
    dict.fromkeys(f"{topic.partition('.')[0]}.*" for topic in sorted(TOPICS))
)
"""Every group of topics, such as `session.*`, in order."""

_BY_NAME: Final = {kind.value: kind for kind in EventType}


def topics_of(event: Event) -> tuple[str, ...]:
    """The topics of an event, such as `session.ended`; () for one that has none."""
    topics = _OF_TYPE[event.type]
    if "renewed" in event.detail:
        return tuple(one for one in topics if one != "session.started")
    return topics


def types_of(topic: str) -> frozenset[EventType]:
    """The types of event that a topic, or a group such as `session.*`, can come from.

    The name of a type in the audit log stands for itself. Raises InvalidRequest for an
    unknown one.
    """
    if topic in _BY_NAME:
        return frozenset({_BY_NAME[topic]})
    found = frozenset(
        kind for kind, topics in _OF_TYPE.items() if any_is_in(topics, (topic,))
    )
    if not found:
        message = f"There is no type of event and no topic named {topic[:64]!r}."
        raise InvalidRequest(message)
    return found


def any_is_in(topics: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of the topics is wanted, by its own name or its group's."""
    names = frozenset(wanted)
    return any(
        topic in names or f"{topic.partition('.')[0]}.*" in names for topic in topics
    )
