"""The pages of metrics: no counter falls, whatever becomes of the process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from watchword.metrics import pages as of_pages
from watchword.metrics.catalog import Counter, Gauge, Histogram
from watchword.metrics.exposition import families
from watchword.metrics.pages import Entry, Kind, Pages

REACH = Histogram.REVOCATION_REACH


@pytest.fixture
def shared() -> Iterator[tuple[Pages, Pages]]:
    """The memory of two processes, as each of them sees it."""
    file, made = Pages.make(2)
    yield made, Pages.opened(file)
    os.close(file)


def shown(pages: Pages) -> dict[str, float]:
    """What a scrape has, by `name{label values}`."""
    return {
        f"{one.name}{{{','.join(one.labels.values())}}}": one.value
        for family in families(pages.read())
        for one in family.samples
    }


def test_a_scrape_is_the_sum_of_all_processes(shared: tuple[Pages, Pages]) -> None:
    ours, theirs = shared
    one, other = ours.page(0), theirs.page(1)
    for page in one, other, other:
        page.count(Counter.REFRESHES, "rotated")
        page.observe(REACH, 0.2)
    one.set(Gauge.FEED_FOLLOWERS, 2)
    other.set(Gauge.FEED_FOLLOWERS, 3)
    one.set(Gauge.FEED_AGE, 0.5)
    other.set(Gauge.FEED_AGE, 0.25)
    for pages in shared:
        found = shown(pages)
        assert found["watchword_refreshes_total{rotated}"] == 3
        assert found["watchword_revocation_reach_seconds_bucket{0.1}"] == 0
        assert found["watchword_revocation_reach_seconds_bucket{0.2}"] == 3
        assert found["watchword_revocation_reach_seconds_count{}"] == 3
        assert found["watchword_revocation_reach_seconds_sum{}"] == pytest.approx(0.6)
        assert found["watchword_feed_followers{}"] == 5
        assert found["watchword_feed_age_seconds{}"] == 0.5


def test_the_next_process_of_a_page_goes_on_from_its_numbers(
    shared: tuple[Pages, Pages],
) -> None:
    """Its gauges are gone; what it has begun to write is written over."""
    ours, theirs = shared
    killed = theirs.page(1)
    killed.count(Counter.SIGN_INS, "password", "success", n=5)
    killed.set(Gauge.FEED_FOLLOWERS, 4)
    killed.mark("sign_ins", "success", 3)
    killed.set(Gauge.PROCESS_START, 100)
    other = ours.page(0)
    other.set(Gauge.FEED_FOLLOWERS, 1)
    other.set(Gauge.PROCESS_START, 100)
    used = killed._heads[0]
    killed._page[used : used + 40] = b"{" * 40  # it is killed here
    ours.retire(1)
    assert shown(ours)["watchword_sign_ins_total{password,success}"] == 5
    assert shown(ours)["watchword_feed_followers{}"] == 1

    heir = theirs.page(1)
    assert list(heir.marks()) == [("sign_ins", "success", 3)]
    heir.count(Counter.SIGN_INS, "password", "success")
    heir.count(Counter.SIGN_INS, "passkey", "success")
    heir.set(Gauge.PROCESS_START, 160)
    found = shown(ours)
    assert found["watchword_sign_ins_total{password,success}"] == 6
    assert found["watchword_sign_ins_total{passkey,success}"] == 1
    assert found["watchword_feed_followers{}"] == 1
    assert found["process_start_time_seconds{}"] == 160  # so restarts are seen


def test_processes_of_two_versions_count_in_one_memory(
    shared: tuple[Pages, Pages], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has other bounds, a metric of its own, and a kind that this one lacks."""
    ours, theirs = shared
    ours.page(0).observe(REACH, 0.2)
    with monkeypatch.context() as of_later:
        of_later.setattr(REACH, "bounds", (0.15, 0.2, 20))
        later = theirs.page(1)
        for seconds in 0.12, 0.2, 17, 99:
            later.observe(REACH, seconds)
    later.numbers[later._add(Entry(Kind.COUNTER, "watchword_new_total"))] = 7
    entry = Entry("of_later", "watchword_newer")  # type: ignore[arg-type]
    later._add(entry)
    later.count(Counter.HASH_SHED)
    found = shown(ours)
    name = "watchword_revocation_reach_seconds"
    buckets = {le: found[f"{name}_bucket{{{le}}}"] for le in ("0.1", "0.2", "15.0")}
    assert buckets == {"0.1": 0, "0.2": 3, "15.0": 3}
    assert found[f"{name}_bucket{{+Inf}}"] == found[f"{name}_count{{}}"] == 5
    assert found["watchword_new_total{}"] == 7
    assert found["watchword_hash_shed_total{}"] == 1
    with pytest.raises(ValueError, match="this version"):
        Pages(bytearray(9000))  # type: ignore[arg-type]


def test_series_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of one metric, and the bytes of all; neither is an error."""
    caplog.set_level(logging.WARNING, "watchword")
    monkeypatch.setattr(of_pages, "SERIES_MAX", 10)
    pages = Pages.alone()
    page = pages.page(0)
    for number in range(50):
        page.count(Counter.SESSIONS_STARTED, f"client-{number}")
    found = shown(pages)
    assert found["watchword_sessions_started_total{client-9}"] == 1
    assert found["watchword_sessions_started_total{other}"] == 40
    assert len(caplog.messages) == 1
    monkeypatch.undo()
    for number in range(3000):
        page.observe(Histogram.STORE_DURATION, 1, "x" * 999 + str(number), "y" * 999)
        page.observe(Histogram.HTTP_DURATION, 1, f"{number}{'z' * 200}")
        page.count(Counter.HTTP_REQUESTS, *(f"{number}{'z' * 200}",) * 3)
    found = shown(pages)
    assert found["watchword_http_request_duration_seconds_count{other}"] > 0
    total = sum(v for k, v in found.items() if k.startswith("watchword_http_requests"))
    assert total == 3000
