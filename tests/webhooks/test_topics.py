"""Which event is which topic."""

from __future__ import annotations

import pytest

from watchword.errors import InvalidRequest
from watchword.ports.audit import Event, EventType
from watchword.webhooks.topics import GROUPS, TOPICS, topics_of, types_of


def test_every_type_of_event_is_decided_and_every_topic_leads_back_to_it() -> None:
    for kind in EventType:
        for topic in topics_of(Event(type=kind, at=0)):  # KeyError: decide it there
            assert kind in types_of(topic)
            assert kind in types_of(f"{topic.partition('.')[0]}.*")
        assert types_of(kind.value) == {kind}
    assert set(GROUPS) == {
        *("account.*", "client.*", "factor.*", "key.*", "session.*", "sign_in.*")
    }
    sessions = {topic for topic in TOPICS if topic.startswith("session.")}
    assert sessions == {"session.started", "session.ended", "session.reused"}


def test_a_sign_in_that_goes_on_with_a_session_starts_none() -> None:
    event = Event(type=EventType.SIGN_IN, at=0)
    assert topics_of(event) == ("sign_in.succeeded", "session.started")
    again = Event(type=EventType.SIGN_IN, at=0, detail={"renewed": True})
    assert topics_of(again) == ("sign_in.succeeded",)


@pytest.mark.parametrize("topic", ["", "session", "session.", "*", "sessions.*"])
def test_an_unknown_topic_is_refused(topic: str) -> None:
    with pytest.raises(InvalidRequest):
        types_of(topic)
