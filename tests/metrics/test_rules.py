"""The alerts and the dashboard name what is in a scrape, and lead to runbooks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import promql_parser as promql
import pytest
import yaml

from tests.pages import ROOT
from watchword.metrics.exposition import families
from watchword.metrics.pages import Pages
from watchword.server.endpoints import ENDPOINTS

ALERTS: Final = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD: Final = ROOT / "deploy/grafana/watchword.json"
# What Prometheus itself has of every target.
_OF_PROMETHEUS: Final = {"up": set[str]()}
_OF_TARGET: Final = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")


def scraped() -> dict[str, set[str]]:
    """The samples that a scrape can have, with their labels."""
    from watchword.metrics.catalog import METRICS, Histogram  # noqa: PLC0415

    pages = Pages.alone()
    pages.page(0)
    found = dict(_OF_PROMETHEUS)
    for family in families(pages.read()):
        name = family.name + ("_total" if family.type == "counter" else "")
        metric = METRICS[name]
        found[name] = set(metric.labels)
        if isinstance(metric, Histogram):
            del found[name]
            for part in "bucket", "sum", "count":
                found[f"{name}_{part}"] = set(metric.labels)
            found[f"{name}_bucket"].add("le")
    return found


def selectors(expression: Any, by: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Each selector of a query, and the labels that its result is asked for."""
    if isinstance(expression, promql.VectorSelector):
        yield expression, by
        return
    if isinstance(expression, promql.MatrixSelector):
        yield expression.vector_selector, by
        return
    if isinstance(expression, promql.AggregateExpr) and expression.modifier:
        by |= frozenset(expression.modifier.labels)
    for name in "lhs", "rhs", "expr", "args":
        part = getattr(expression, name, None)
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, promql.Expr):
                yield from selectors(one, by)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_names_what_is_in_a_scrape(query: str) -> None:
    known, routes = scraped(), {path for one in ENDPOINTS for path in one.paths}
    found = list(selectors(promql.parse(query)))
    assert found
    for selector, by in found:
        matched = {one.name: one.value for one in selector.matchers.matchers}
        assert selector.name in known, selector.name
        assert {*matched, *by} <= known[selector.name] | _OF_TARGET, selector.name
        assert matched.get("route", "/api/auth/refresh") in routes


def test_every_alert_leads_to_a_runbook_that_is_there() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"critical", "warning"}
        page = re.search(r"/blob/main/(.*)", rule["annotations"]["runbook_url"])
        assert page is not None
        assert (ROOT / page[1]).is_file(), page[1]


def test_the_dashboard_shows_every_metric() -> None:
    """But for those that have no meaning by themselves."""
    shown = " ".join(target["expr"] for one in panels() for target in one["targets"])
    aside = {"process_max_fds", "process_start_time_seconds"}
    aside |= {"process_virtual_memory_bytes", "watchword_http_requests_total"}
    named = {re.sub("_(bucket|sum|count)$", "", name) for name in scraped()}
    assert {one for one in named if one not in shown} <= aside | set(_OF_PROMETHEUS)
    places = [tuple(one["gridPos"].values()) for one in panels()]
    assert len(set(places)) == len(places)
