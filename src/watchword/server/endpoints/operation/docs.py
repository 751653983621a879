"""GET /docs and the files below it: Swagger UI, served from the package.

There is no CDN and no inline script, so the page works offline and under a strict
policy.
"""

from __future__ import annotations

import html
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.bootstrap.factors import passkeys_off
from watchword.server.local import kept_mail
from watchword.server.operation import Operation
from watchword.server.pages.rendering import HTML
from watchword.server.pages.views import KeptMail
from watchword.server.parsing import engine_of
from watchword.server.static_files import (
    SCRIPT,
    STYLE,
    TEXT,
    named_file,
    static_file,
    static_text,
)

_VENDORED: Final = "swagger-ui/"

FILES: Final = {
    "watchword.css": ("watchword.css", STYLE),
    "watchword.svg": ("watchword.svg", "image/svg+xml"),
    "watchword-docs.js": ("watchword-docs.js", SCRIPT),
    "watchword-docs.css": ("watchword-docs.css", STYLE),
    "swagger-ui-bundle.js": (_VENDORED + "swagger-ui-bundle.js", SCRIPT),
    "swagger-ui.css": (_VENDORED + "swagger-ui.css", STYLE),
    # The first line of the bundle refers to its notices. The licence has to come with
    # every copy of the bundle (Apache-2.0 §4).
    "swagger-ui-bundle.js.LICENSE.txt": (
        _VENDORED + "swagger-ui-bundle.js.LICENSE.txt",
        TEXT,
    ),
    "LICENSE": (_VENDORED + "LICENSE", TEXT),
    "NOTICE": (_VENDORED + "NOTICE", TEXT),
}
"""What `/docs/<name>` serves: the file in `static/`, and its content type."""

# Swagger UI needs style attributes and images from `data:`; all else is refused.
_POLICY: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}


_PAGE: Final = "index.html"
_NOTES: Final = "<!-- notes -->"


async def docs(request: Request) -> Response:
    kept, off = kept_mail(request), passkeys_off(engine_of(request).settings)
    notes = [
        *([] if kept is None else [_where_mail_is(kept)]),
        *([] if off is None else [_without_passkeys(off)]),
    ]
    if not notes:
        return static_file(request, _PAGE, HTML, _POLICY)
    page = static_text(_PAGE).replace(_NOTES, "\n  ".join(notes))
    headers = {"cache-control": "no-store", **_POLICY}
    return Response(page, headers=headers, media_type=HTML)


def _where_mail_is(kept: KeptMail) -> str:
    folder, command = html.escape(kept.folder), html.escape(" ".join(kept.command))
    return (
        f'<p class="note" id="mail">Mail is kept in <code>{folder}</code>: '
        f"<code>{command}</code></p>"
    )


def _without_passkeys(why: str) -> str:
    said = html.escape(why[0].upper() + why[1:])
    return f'<p class="note" id="passkeys">{said}</p>'


async def docs_file(request: Request) -> Response:
    """A file that the page needs. Raises NotFound."""
    return named_file(request, FILES)


PAGE = Operation(
    method="GET",
    path="/docs",
    handler=docs,
    is_embedded=False,
    is_documented=False,
)

FILE = Operation(
    method="GET",
    path="/docs/{name}",
    handler=docs_file,
    is_embedded=False,
    is_documented=False,
)
