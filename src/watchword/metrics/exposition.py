"""A scrape: the numbers of all pages, summed, as text or as OpenMetrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from watchword.metrics.catalog import METRICS, Combine, Counter, Gauge, Histogram
from watchword.metrics.pages import Entry, Kind

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

Series = Iterable[tuple[Entry, Sequence[float]]]
_Labels = tuple[tuple[str, str], ...]
_Found = dict[_Labels, list[tuple[Entry, Sequence[float]]]]

_KINDS: Final[Mapping[type, Kind]] = {
    Counter: Kind.COUNTER,
    Gauge: Kind.GAUGE,
    Histogram: Kind.HISTOGRAM,
}
_COMBINED: Final[Mapping[Combine, Callable[[Iterable[float]], float]]] = {
    Combine.SUM: sum,
    Combine.MAX: max,
    Combine.MIN: min,
}


def scrape(series: Series, accept: str) -> tuple[bytes, str]:
    """The answer to a scrape that accepts this, and its media type."""
    # Loaded with the first scrape: few servers are asked, and it has a megabyte.
    from prometheus_client import CollectorRegistry  # noqa: PLC0415
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    class Pages:
        def collect(self) -> Iterator[Family]:
            return families(series)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Pages())
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def families(series: Series) -> Iterator[Family]:
    """Every metric with its series, as the library writes them."""
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    for (kind, name), found in sorted(_by_name(series).items()):
        metric = METRICS.get(name)
        text = "" if metric is None else metric.text
        names = [label for label, _ in next(iter(found), ())]
        if kind is Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, text, labels=names)
            for labels, parts in found.items():
                buckets, total = _buckets(parts, metric)
                histogram.add_metric([value for _, value in labels], buckets, total)
            yield histogram
            continue
        combine = metric.combine if isinstance(metric, Gauge) else Combine.SUM
        family = CounterMetricFamily if kind is Kind.COUNTER else GaugeMetricFamily
        one = family(name, text, labels=names)
        for labels, parts in found.items():
            number = _COMBINED[combine](numbers[0] for _, numbers in parts)
            one.add_metric([value for _, value in labels], number)
        yield one


def _by_name(series: Series) -> Mapping[tuple[Kind, str], _Found]:
    # Those without any series too: an operator sees all that there are.
    found: dict[tuple[Kind, str], _Found] = {
        (_KINDS[type(metric)], name): {} for name, metric in METRICS.items()
    }
    for entry, numbers in series:
        if entry.kind is Kind.MARK:
            continue
        of_name = found.setdefault((entry.kind, entry.name), {})
        of_name.setdefault(entry.labels, []).append((entry, numbers))
    return found


def _buckets(
    parts: Sequence[tuple[Entry, Sequence[float]]], metric: object
) -> tuple[list[tuple[str, float]], float]:
    """The buckets of a histogram, each with those before it, and the sum of values.

    A process of another version may have other bounds. Then its numbers are in the next
    greater bound of this one: so none falls while the processes are replaced.
    """
    bounds = metric.bounds if isinstance(metric, Histogram) else parts[0][0].bounds
    counts = [0.0] * (len(bounds) + 1)
    total = 0.0
    for entry, numbers in parts:
        for bound, number in zip((*entry.bounds, float("inf")), numbers, strict=False):
            counts[bisect_left(bounds, bound)] += number
        total += numbers[-1]
    shown = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    return list(zip(shown, accumulate(counts), strict=True)), total
