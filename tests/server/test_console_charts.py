"""Charts: their shapes, their axes, and what they say where there is nothing."""

from __future__ import annotations

from typing import Final

from tests.rows import each
from watchword.admin.overview import Figures, Series
from watchword.core.limits import HOUR, MINUTE
from watchword.metrics.charts import LATENCY_BUCKETS, Figure
from watchword.server.console.charts import (
    GRAVE,
    Axis,
    Row,
    Words,
    bars,
    lines,
    nice,
    quantile,
    spark,
)
from watchword.server.console.overview import overview_of

WORDS: Final = Words(id="c", title="Things", note="", sentence="Things.", nothing="No.")
AXIS: Final = Axis(["00:00", "01:00", "02:00"], ["00:00", "03:00"])


def test_an_axis_ends_at_a_round_number_above_all_values() -> None:
    whole = {0: 4, 1: 4, 4: 4, 5: 8, 9: 12, 13: 16, 17: 20, 41: 60, 101: 120, 999: 1000}
    broken = {0.3: 0.4, 1: 1, 1.1: 1.2, 5: 6, 0.0021: 0.004}
    for rows, is_whole in ((whole, True), (broken, False)):
        for checks, (most, top) in each(rows.items()):
            with checks:
                assert nice(most, is_whole=is_whole) == top


def test_a_quantile_lies_within_its_bucket() -> None:
    bounds = (1.0, 2.0, 4.0)
    for checks, (counts, part, value) in each(
        [
            ((0, 0, 0, 0), 0.5, 0),
            ((10, 0, 0, 0), 0.5, 0.5),
            ((5, 5, 0, 0), 0.75, 1.5),
            ((0, 0, 100, 0), 0.99, 3.98),
            ((0, 0, 0, 3), 0.5, 4),
        ]
    ):
        with checks:
            assert quantile(counts, bounds, part) == value


def test_what_is_rare_and_grave_is_seen_and_what_is_missing_is_a_gap() -> None:
    rows = (Row("Fine", [1000, 800, 0]), Row("Grave", [0, 1, 0], GRAVE))
    chart = bars(WORDS, AXIS, *rows)
    kinds = [shape.cls.split()[0] for shape in chart.shapes]
    assert kinds == ["f", "f", "dot"]
    assert chart.shapes[2].title == "01:00: Grave 1"
    assert [key.value for key in chart.legend] == ["1,800", "1"]
    assert chart.rows[1] == ("01:00", "800", "1")

    line = lines(WORDS, AXIS, Row("Level", [3, None, 5]))
    assert [shape.d for shape in line.shapes] == [
        "M0 62.5h0",
        "M200 37.5h0",
        "M200 37.5h0",
    ]
    assert line.ys == ["8", "6", "4", "2", "0"]
    assert [row[1] for row in line.rows] == ["3", "\u2013", "5"]

    for nothing in (bars(WORDS, AXIS, Row("Fine", [0] * 3)), lines(WORDS, AXIS)):
        assert (nothing.shapes, nothing.sentence) == ((), "No.")
    assert spark(Row("Level", [None, None])) is None


def test_the_overview_says_what_there_is_and_what_there_is_not() -> None:
    empty = overview_of(Figures(0, MINUTE, ()), "1h", notable=(), failing=0)
    assert all(not chart.shapes for chart in empty.charts)
    assert {tile.value for tile in empty.tiles} == {"0", "\u2013"}

    latencies = [Series(Figure.REFRESH_LATENCY, LATENCY_BUCKETS[0], [9, 0])]
    figures = Figures(
        23 * HOUR,
        HOUR,
        [
            Series(Figure.SIGN_INS, "success", [3, 0]),
            Series(Figure.SIGN_INS, "failed", [0, 1]),
            Series(Figure.REFRESHES, "rotated", [90, 5]),
            Series(Figure.REFRESHES, "retry", [1, 0]),
            Series(Figure.REUSE, "", [0, 2]),
            Series(Figure.SESSIONS_LIVE, "", [40, 41], is_level=True),
            Series(Figure.ACCOUNTS, "", [10, 10], is_level=True),
            Series(Figure.WITH_FACTOR, "", [7, 8], is_level=True),
            *latencies,
        ],
    )
    view = overview_of(figures, "24h", notable=(), failing=0)
    said = {tile.title: (tile.value, tile.hint) for tile in view.tiles}
    assert said["Live sessions"] == ("41", "40 to 41")
    assert said["Sign-ins"] == ("3", "75.0 % of 4 tries")
    assert said["Refreshes"] == ("95", "1 in 95 was a retry")
    assert said["Reuse of tokens"] == ("2", "2 sessions ended")
    assert said["With a second step"] == ("80 %", "8 of 10 accounts")
    charts = {chart.title: chart for chart in view.charts}
    assert [row[0] for row in charts["Sign-ins by result"].rows] == ["23:00", "00:00"]
    assert len(charts["Refreshes by time taken"].rows) == 12
    assert "Median 0.5" in charts["Time of a refresh"].sentence
    assert charts["Throttled by kind"].sentence.startswith("Nothing was throttled")
