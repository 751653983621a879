"""The overview: figures and charts."""

from __future__ import annotations

from watchword.server.console.screens import Screen


class Overview(Screen, frozen=True, kw_only=True):
    """How the server does."""

    template = "overview.html"
    here = "overview"

    title: str = "Overview"
