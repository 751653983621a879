"""Flask: a decorator for views, and `auth.session` inside of them.

`Auth` embeds Watchword in the app; `ResourceServer` only verifies the tokens of another
server, and needs no more of Watchword than that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, cast

from watchword.extras import needs

with needs("watchword[flask]"):
    from flask import Flask, Response, current_app, request

from watchword.core.access_token import Claims
from watchword.errors import WatchwordError
from watchword.integrations.blocking import Embedded, Side, Verifying
from watchword.integrations.environ import headers_of
from watchword.integrations.gate import Needs, checked

__all__ = ["Auth", "ResourceServer"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


class _Guarded(Side):
    @property
    def session(self) -> Claims:
        """The claims of the access token of the current request.

        Verified once: a proof is used up by it. Raises AccessTokenError,
        InvalidRequest, TryAgain, which are answered as problems.
        """
        key = f"watchword.{id(self)}"  # not in `g`: it may outlive the request
        if key not in request.environ:
            headers = headers_of(request.environ)
            claims = self._claims(headers, request.method, request.path)
            request.environ[key] = claims
        return cast("Claims", request.environ[key])

    def required(
        self, **needs: Unpack[Needs]
    ) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
        """A decorator for a view, below `route`: 401 without a session, 403 for less.

        For async views too.
        """
        checked(needs)

        def decorate(view: Callable[Given, Result]) -> Callable[Given, Result]:
            @functools.wraps(view)
            def guarded(*args: Given.args, **kwargs: Given.kwargs) -> Result:
                self._require(self.session, needs)
                answer = current_app.ensure_sync(view)(*args, **kwargs)
                return cast("Result", answer)

            return guarded

        return decorate

    def init_app(self, app: Flask) -> None:
        """Answer the errors of Watchword as problems, with their challenges."""
        app.register_error_handler(WatchwordError, self._refuse)

    def _refuse(self, error: WatchwordError) -> Response:
        refused = self._refusal(error, headers_of(request.environ))
        return Response(refused.body, refused.status, refused.headers)


class ResourceServer(_Guarded, Verifying):
    """See `Verifying`."""


class Auth(_Guarded, Embedded):
    """See `Embedded`."""

    def init_app(self, app: Flask) -> None:
        """Add the auth routes, and all that `ResourceServer.init_app` does."""
        from watchword.server.embedded import PATHS  # noqa: PLC0415 - an extra

        super().init_app(app)
        for path in PATHS:
            app.add_url_rule(
                path.replace("{path:path}", "<path:rest>").replace("{id}", "<name>"),
                endpoint=f"watchword {path}",
                view_func=self._serve,
                methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            )

    def _serve(self, **_: Any) -> Response:  # noqa: ANN401 - the path has them
        asked = self._gate.asked(
            request.environ,
            request.environ["wsgi.input"].read,
            scheme=request.scheme,
            path=request.path,
        )
        answer = self.call(self._gate.answer, asked)
        return Response(answer.body, answer.status, answer.headers)
