"""Sessions that ended: remembered by the later of two clocks, and then forgotten."""

from __future__ import annotations

from watchword.core.revoked import RevokedSet


def test_an_end_is_news_once_and_again_if_it_is_to_last_longer() -> None:
    ended = RevokedSet()
    assert ended.add("one", at=1000, until=2000, here=0)
    assert not ended.add("one", at=1000, until=2000, here=500)
    assert ended.add("one", at=1000, until=2001, here=500)
    assert (len(ended), "one" in ended, "two" in ended) == (1, True, False)


def test_it_is_forgotten_when_it_is_over_by_either_clock() -> None:
    """A wall clock that is set forward, or was behind at the end, forgets nothing."""
    ended = RevokedSet()
    ended.add("one", at=1000, until=2000, here=0)
    for now, here in ((10_000, 999), (1999, 10_000)):
        ended.forget_expired(now, here)
        assert "one" in ended
    ended.forget_expired(2000, 1000)
    assert len(ended) == 0
