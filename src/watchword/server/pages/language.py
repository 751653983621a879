"""The languages of the pages, and which one a request gets.

A language is one file of whole sentences, by page and by what they say. A sentence has
the places of its values in braces. `key.one` and `key.other` are the two forms of a
sentence with a number (CLDR: English and German have no others).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, Final

from markupsafe import Markup, escape

DEFAULT: Final = "en"
LOCALES: Final = (DEFAULT, "de")
"""The languages that there are: BCP 47, in the order of the list that users see."""

_RANGES_MAX: Final = 20  # of a request: more are passed over


class Language:
    """The sentences of a language, and how it writes instants."""

    def __init__(self, locale: str, sentences: dict[str, str]) -> None:
        self.locale = locale
        self.sentences = sentences
        self.name = sentences["language.name"]
        self.direction = sentences["language.direction"]
        self._months = sentences["language.months"].split()

    def say(self, key: str, count: int | None = None, **values: object) -> Markup:
        """A sentence as HTML. The values in it are escaped, unless they are markup.

        Raises KeyError for a sentence or a value that is missing.
        """
        if count is not None:
            key = f"{key}.{'one' if count == 1 else 'other'}"
            values["count"] = f"{count:,}".replace(
                ",", self.sentences["language.thousands"]
            )
        return Markup(escape(self.sentences[key])).format(**values)  # noqa: S704 - ours

    def date(self, at: int) -> Markup:
        """The day of an instant in milliseconds, in UTC."""
        day = datetime.fromtimestamp(at / 1000, UTC)
        return self._time("language.date", day, f"{day:%Y-%m-%d}")

    def instant(self, at: int) -> Markup:
        """An instant in milliseconds, to the minute, in UTC."""
        when = datetime.fromtimestamp(at / 1000, UTC)
        return self._time("language.instant", when, f"{when:%Y-%m-%dT%H:%M:%SZ}")

    def _time(self, key: str, when: datetime, machine: str) -> Markup:
        shown = self.say(
            key,
            day=when.day,
            month=self._months[when.month - 1],
            year=when.year,
            time=f"{when:%H:%M}",
        )
        return Markup('<time class="nowrap" datetime="{}">{}</time>').format(
            machine, shown
        )


@cache
def language(locale: str) -> Language:
    """The language of that name, one of `LOCALES`."""
    file = resources.files("watchword.server.pages") / "languages" / f"{locale}.toml"
    return Language(locale, dict(_flat("", tomllib.loads(file.read_text("utf-8")))))


def _flat(before: str, tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(f"{before}{name}.", value)
        else:
            yield f"{before}{name}", value


def chosen(
    *,
    address: str = "",
    account: str | None = None,
    ui_locales: str = "",
    accept_language: str = "",
) -> str:
    """The language for a request: one of `LOCALES`.

    What the address of the page says comes first: a link at the foot of each page puts
    it there. Then the account's, which may be one that its owner never chose. Then
    `ui_locales` of an app (OpenID Connect Core §3.1.2.1: in order of preference,
    separated by blanks). Then what the browser says (RFC 9110 §12.5.4). Nothing in a
    request is an error: what is not understood is passed over.
    """
    return (
        asked_for(address)
        or _first([account or ""])
        or asked_for(ui_locales)
        or _first(_by_weight(accept_language))
        or DEFAULT
    )


def asked_for(ui_locales: str) -> str:
    """The first of `ui_locales` that there is; "" if there is none."""
    return _first(ui_locales.split(maxsplit=_RANGES_MAX)[:_RANGES_MAX])


def _first(ranges: Iterable[str]) -> str:
    """RFC 4647 §3.4: `de-AT` is served by `de`."""
    primaries = (one.strip().lower().partition("-")[0] for one in ranges)
    return next((one for one in primaries if one in LOCALES), "")


def _by_weight(accept_language: str) -> list[str]:
    """The ranges of the header that are not refused, the most wanted first."""
    found = []
    for part in accept_language.split(",", _RANGES_MAX)[:_RANGES_MAX]:
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if 0 < quality <= 1:
            found.append((-quality, tag))
    return [tag for _, tag in sorted(found, key=lambda one: one[0])]
