"""Which audit event is which topic of webhooks, and of the lists of events."""

from __future__ import annotations

from watchword.ports.audit import Event, EventType


def topics_of(event: Event) -> tuple[str, ...]:
    """The topics of an event, such as `session.ended`; () for one that has none."""
    raise NotImplementedError


def types_of(topic: str) -> frozenset[EventType]:
    """The types of event that a topic, or a group such as `session.*`, can come from.

    Raises InvalidRequest for an unknown one.
    """
    raise NotImplementedError
