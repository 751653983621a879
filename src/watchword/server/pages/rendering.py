"""From a view to HTML: the environment of the templates, and what surrounds a page.

All pages stand at one segment below where the pages begin, so every address in them is
relative: they work below a path prefix of a proxy, and inside of another application.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from watchword.core.limits import FACTOR_NAME_MAX, RECOVERY_CODES_FEW
from watchword.errors import SettingsError
from watchword.passwords.policy import LENGTH_MIN
from watchword.server.pages import step_views, views
from watchword.server.pages.language import LOCALES, language
from watchword.server.pages.views import View

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

FOLDER: Final = "pages"
"""Where the files of the pages are, seen from a page; and the templates of an operator.
"""

HTML: Final = "text/html; charset=utf-8"

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "form-action 'self'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every page is sent with. The Edge adds the headers of every answer."""


ON_THE_WAY: Final = frozenset(
    (
        *("sign-in", "second-step", "enrol", "prove", "add-app", "add-passkey"),
        *("consent", "register", "forgot"),
    )
)
"""The pages that a client, or the console, may wait for: links to them keep that."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds a page: whose it is, where, and in which language.

    service  the name of the service
    host     where the user is, from the issuer and never from the request
    locale   the language, one of `LOCALES`
    asked    the language that the address of the page asks for, or "": links keep it
    token    what a form is sent with, against forged requests (`server/csrf.py`)
    up       what leads from the address of this page to where the pages are
    query    that of the address of this page
    then     the page of the console that this way leads back to (`returning.py`)

    Where a client waits for the user:

    interaction  the ticket of its request
    client       its name
    returns_to   where the user is sent back to: the host, or the scheme of an app
    home         the front page of its site, or ""
    """

    service: str
    host: str
    locale: str
    asked: str = ""
    token: str = ""
    up: str = ""
    query: str = ""
    then: str = ""
    interaction: str = ""
    client: str = ""
    returns_to: str = ""
    home: str = ""

    def link(self, page: str, **query: str) -> str:
        """The address of a page, in the language that this page was asked for in."""
        if self.interaction and page in ON_THE_WAY:
            query.setdefault("interaction", self.interaction)
        if self.then and page in ON_THE_WAY:
            query.setdefault("then", self.then)
        if self.asked:
            query["ui_locales"] = self.asked
        return f"{self.up}{page}?{urlencode(query)}" if query else f"{self.up}{page}"

    @property
    def onward(self) -> str:
        """Where a signed-in user goes on: to the console, or to the account page."""
        return f"{self.up}{self.then}" if self.then else self.link("account")

    def in_language(self, locale: str) -> str:
        """The address of this page in another language."""
        query = dict(parse_qsl(self.query, keep_blank_values=True))
        if self.interaction:
            query["interaction"] = self.interaction
        return f"?{urlencode(query | {'ui_locales': locale})}"


def check_templates(folder: Path | None) -> None:
    """Compile the templates of that folder. Raises SettingsError for one that is wrong.

    Otherwise the first user of its page would find the fault.
    """
    if folder is None:
        return
    import jinja2  # noqa: PLC0415 - as in `environment`

    templates = environment(folder)
    for name in templates.list_templates(extensions=["html"]):
        try:
            templates.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            fault = f"page template {error.name}, line {error.lineno}: {error}"
        except UnicodeDecodeError:
            fault = f"page template {name} is not UTF-8"
        else:
            continue
        raise SettingsError([f"WATCHWORD_TEMPLATES: {fault}"])


def render(view: View, frame: Frame, folder: Path | None = None) -> str:
    """The page as HTML.

    A template in the part `pages` of `folder` wins over that of the package. It may
    extend our `gate.html` and use `macros.html`, or neither.
    """
    spoken = language(frame.locale)
    others = [language(one) for one in LOCALES if one != frame.locale]
    return (
        environment(folder)
        .get_template(view.template)
        .render(
            view=view,
            frame=frame,
            spoken=spoken,
            others=others,
            t=spoken.say,
            link=frame.link,
            files=f"{frame.up}{FOLDER}",
            password_min=LENGTH_MIN,
            codes_few=RECOVERY_CODES_FEW,
            factor_name_max=FACTOR_NAME_MAX,
        )
    )


@cache
def environment(folder: Path | None) -> Environment:
    """The templates, compiled once in a process."""
    # Imported only here: it takes 30 ms and 2 MiB, and an app that shows no page does
    # not need it.
    import jinja2  # noqa: PLC0415

    loaders: list[BaseLoader] = [jinja2.PackageLoader("watchword.server.pages")]
    if folder is not None:
        loaders.insert(0, jinja2.FileSystemLoader(folder / FOLDER))
    made = environment_of(jinja2.ChoiceLoader(loaders))
    made.globals.update(
        {
            kind.__name__: kind
            for kind in (
                views.AccountForm,
                views.AccountNotice,
                step_views.After,
                views.Link,
                views.MailFor,
                views.SignInNotice,
                views.Trouble,
                views.Way,
            )
        }
    )
    return made


def environment_of(loader: BaseLoader) -> Environment:
    """Templates that escape what they show, and miss nothing silently."""
    import jinja2  # noqa: PLC0415 - as above

    return jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
