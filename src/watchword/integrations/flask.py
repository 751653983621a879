"""Flask: a decorator for views, and `auth.session` inside of them.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs nothing else of Watchword.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import IO, Any, Final, ParamSpec, TypeVar, Unpack, cast

from watchword.extras import needs

with needs("watchword[flask]"):
    from flask import Flask, Response, current_app, request
    from werkzeug.routing import BaseConverter

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.authenticator import checked
from watchword.integrations.blocking import AuthBase, EmbeddedAuth, RemoteAuth
from watchword.integrations.environ import headers_of
from watchword.tokens.checker import Needs

__all__ = ["Auth", "ResourceServer"]

_PAGE: Final = "watchword_page"
_NAMED: Final = re.compile(r"\{\w+\}")  # a part of a path, such as {id}
Given = ParamSpec("Given")
Result = TypeVar("Result")


class _AppAuth(AuthBase):
    @property
    def session(self) -> Claims:
        """The claims of the access token of the current request.

        The token is verified once, because that uses up a proof. Raises
        AccessTokenError, InvalidRequest, TryAgain, which are answered as problems.
        """
        # Not kept in `g`, because `g` may live longer than the request.
        key = f"watchword.{id(self)}"
        if key not in request.environ:
            self._served(request.environ, request.scheme)
            headers = headers_of(request.environ)
            claims = self._claims(headers, request.method, request.path)
            request.environ[key] = claims
        return cast("Claims", request.environ[key])

    def required(
        self, **needs: Unpack[Needs]
    ) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
        """A decorator for a view, async or not, to be written below `route`.

        The view is answered with 401 without a session, and with 403 if the token lacks
        what is needed.
        """
        checked(needs)

        def decorate(view: Callable[Given, Result]) -> Callable[Given, Result]:
            @functools.wraps(view)
            def called(*args: Given.args, **kwargs: Given.kwargs) -> Result:
                self._require(self.session, needs)
                answer = current_app.ensure_sync(view)(*args, **kwargs)
                return cast("Result", answer)

            return called

        return decorate

    def init_app(self, app: Flask) -> None:
        """Answer the errors of Watchword as problems, with their challenges."""
        app.register_error_handler(WatchwordError, self._refuse)

    def _refuse(self, error: WatchwordError) -> Response:
        refused = self._refusal(error, headers_of(request.environ))
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_AppAuth, RemoteAuth):
    """See `RemoteAuth`."""


class Auth(_AppAuth, EmbeddedAuth):
    """See `EmbeddedAuth`."""

    def init_app(self, app: Flask, *, pages: bool | str = True) -> None:
        """Add the auth routes, and all that `ResourceServer.init_app` does.

        `pages` says whether our pages are among them, or gives the prefix of their
        paths, such as `/id`. A view of the app of the same path wins. An app with users
        of its own has none of the pages. Raises ValueError, SettingsError.
        """
        super().init_app(app)
        self._authenticator.serve_pages(pages=pages)
        routes = self._authenticator.routes
        places = [
            _NAMED.sub("<name>", path.replace("{path:path}", "<path:rest>"))
            for path in routes.paths
            if path not in routes.page_paths
        ]
        if routes.page_paths:
            app.url_map.converters[_PAGE] = _converter_of(routes.page_paths)
            places.append(f"/<{_PAGE}:page>")
        for place in places:
            app.add_url_rule(
                place,
                endpoint=f"watchword {place}",
                view_func=self._serve,
                methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                merge_slashes=False,  # Flask would redirect the request with its body
            )

    def _serve(self, **_: Any) -> Response:  # noqa: ANN401 - parts of the path
        from watchword.integrations import bridge  # noqa: PLC0415 - an extra

        asgi_request = bridge.asgi_request(
            bridge.WsgiRequest(
                request.environ,
                _stream,
                scheme=request.scheme,
                path=request.path,
                is_terminated=bool(request.environ.get("wsgi.input_terminated")),
            )
        )
        answer = self.call(self._authenticator.answer, asgi_request)
        return Response(answer.body, answer.status, answer.headers)


def _converter_of(paths: Iterable[str]) -> type[BaseConverter]:
    """What matches these paths alone, as a variable part of a rule.

    A rule without such a part comes first, so that the app's own view of one of these
    paths wins, whether it was added before or after.
    """

    class PageConverter(BaseConverter):
        regex = "|".join(re.escape(path.removeprefix("/")) for path in paths)
        part_isolating = False  # some of the paths have a slash in them
        weight = 0  # before the variable parts of the app

    return PageConverter


def _stream() -> IO[bytes]:
    """The stream of the body, also if a hook of the app has read the body already.

    What is longer than any body that is meant is cut a byte behind that. A lower limit
    of the app's own stays.
    """
    from watchword.server.parsing import BODY_MAX  # noqa: PLC0415 - an extra

    most, own = BODY_MAX + 1, request.max_content_length
    request.max_content_length = most if own is None else min(most, own)
    return BytesIO(request.get_data())
