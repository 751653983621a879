"""From a screen to HTML: the environment of the templates."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from watchword.server.console.frames import MENU, ConsoleFrame
from watchword.server.console.screens import Screen
from watchword.server.console.times import FILTERS
from watchword.server.pages.rendering import FOLDER, environment_of

if TYPE_CHECKING:
    from jinja2 import Environment


def render(screen: Screen, frame: ConsoleFrame) -> str:
    """The screen as HTML: `view` and `frame` of its template."""
    return (
        _environment()
        .get_template(screen.template)
        .render(
            view=screen,
            frame=frame,
            link=frame.link,
            page=frame.page,
            files=f"{frame.up}{FOLDER}",
        )
    )


@cache
def _environment() -> Environment:
    import jinja2  # noqa: PLC0415 - as in `pages/rendering.py`

    made = environment_of(jinja2.PackageLoader("watchword.server.console"))
    made.filters.update(FILTERS)
    made.globals["MENU"] = MENU
    return made
