"""How each part of the server does, and the settings in effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from watchword.admin.health import Part, PartState, Report
from watchword.config.effective import EffectiveSetting
from watchword.server.console.charts import said
from watchword.server.console.screens import Screen

_NAMES: Final = {
    "feed": "Feed of ended sessions",
    "hashing": "Password hashing",
    "keys": "Signing keys",
}
_BADGES: Final = {PartState.WARNING: "warn", PartState.FAILING: "bad"}
_DEFAULT: Final = "default"


class PartLine(msgspec.Struct, frozen=True):
    """A part. `badge` is the colour of its state, "" for one that needs no look."""

    name: str
    state: str
    badge: str
    seen: str
    slowest: str


class Health(Screen, frozen=True, kw_only=True):
    """The parts, and the settings: those that were set, and those left as they are."""

    template = "health.html"
    here = "health"

    title: str = "Health and settings"
    version: str
    workers: int
    since: int
    parts: Sequence[PartLine]
    given: Sequence[EffectiveSetting]
    defaults: Sequence[EffectiveSetting]

    @property
    def summary(self) -> tuple[str, str]:
        """Words for all parts together, and the colour of their badge."""
        failing = sum(one.badge == "bad" for one in self.parts)
        warnings = sum(one.badge == "warn" for one in self.parts)
        if failing:
            return f"{failing} failing", "bad"
        if warnings:
            return "1 warning" if warnings == 1 else f"{warnings} warnings", "warn"
        return "", ""


def health_of(report: Report, version: str) -> Health:
    """The screen for that report of a server of that version."""
    settings = report.settings
    return Health(
        version=version,
        workers=report.workers,
        since=report.since,
        parts=[_line(part) for part in report.parts],
        given=[one for one in settings if one.source != _DEFAULT],
        defaults=[one for one in settings if one.source == _DEFAULT],
    )


def _line(part: Part) -> PartLine:
    slowest = None if part.slowest is None else 1000 * part.slowest
    return PartLine(
        name=_NAMES.get(part.name, part.name.capitalize()),
        state=part.state.value.capitalize(),
        badge=_BADGES.get(part.state, ""),
        seen=part.seen,
        slowest=said(slowest, "ms"),
    )
