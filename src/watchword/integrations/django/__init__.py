"""Django: a decorator for views, sync and async.

Configured by `WATCHWORD = {...}` in the settings. With `database_url` Watchword runs in
the app, and `urls` has its routes. `pages` says whether our pages are among them (True,
the default), or gives the prefix of their paths; where `urls` is included last, pages
of the app win. With only an `issuer` the app just verifies the tokens of that server,
and needs nothing else of Watchword. There is no model and no migration.

    auth        what views use: `auth.required`, `auth.session`
    urls        the auth routes
    middleware  answers the errors of Watchword that a view does not catch
    drf         an authentication class and permissions for Django REST framework
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from watchword.extras import needs

with needs("watchword[django]"):
    from asgiref.sync import iscoroutinefunction
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.signals import setting_changed
    from django.db import close_old_connections
    from django.http import HttpRequest, HttpResponse, HttpResponseBase
    from django.utils.functional import SimpleLazyObject, empty
    from django.utils.module_loading import import_string

from watchword.core.access_token import Claims
from watchword.core.actor import APP, By
from watchword.errors import WatchwordError
from watchword.integrations.authenticator import checked
from watchword.integrations.blocking import (
    AuthBase,
    EmbeddedAuth,
    Given,
    RemoteAuth,
    Result,
)
from watchword.integrations.environ import headers_of
from watchword.tokens.checker import Needs
from watchword.tokens.headers import Headers

if TYPE_CHECKING:
    from watchword.ports.accounts import Account
    from watchword.sign_in.own_users import SubjectId

__all__ = ["Auth", "ResourceServer", "auth"]

View = Callable[..., Any]
SETTING: Final = "WATCHWORD"
_lock: Final = threading.Lock()
# Those that are awaited; the other functions may also block.
_AWAITED: Final = ("claims_hook", "before_registration")
_BLOCKING: Final = ("authenticate", "load_subject", "on_security_notice")
_HOOKS: Final = (*_BLOCKING, *_AWAITED)


class _AppAuth(AuthBase):
    def session(self, request: HttpRequest) -> Claims:
        """The claims of a request's access token, in a view that may block.

        The token is verified once, because that uses up a proof. Raises
        AccessTokenError, InvalidRequest, TryAgain.
        """
        known = self._known(request)
        if known is None:
            self._served(request.META, request.scheme or "http")
            known = self._claims(*_facts(request))
            setattr(request, self._key, known)
        return known

    async def asession(self, request: HttpRequest) -> Claims:
        """As `session`, in an async view."""
        known = self._known(request)
        if known is None:
            self._served(request.META, request.scheme or "http")
            known = await self._aclaims(*_facts(request))
            setattr(request, self._key, known)
        return known

    @property
    def _key(self) -> str:
        return f"_watchword_{id(self)}"

    def _known(self, request: HttpRequest) -> Claims | None:
        return cast("Claims | None", getattr(request, self._key, None))

    def require(self, claims: Claims, **needs: Unpack[Needs]) -> None:
        """Raises InsufficientScope, InsufficientRole, InsufficientAuthentication."""
        self._require(claims, checked(needs))

    def required(self, **needs: Unpack[Needs]) -> Callable[[View], View]:
        """A decorator for a view, async or not.

        The view is answered with 401 without a session, and with 403 if the token lacks
        what is needed. For a method of a class use Django's `method_decorator`.
        """
        checked(needs)

        def decorate(view: View) -> View:
            @functools.wraps(view)
            def called(
                request: HttpRequest, *args: object, **kwargs: object
            ) -> HttpResponseBase:
                try:
                    self._require(self.session(request), needs)
                except WatchwordError as error:
                    return self.refuse(request, error)
                return cast("HttpResponseBase", view(request, *args, **kwargs))

            @functools.wraps(view)
            async def awaited(
                request: HttpRequest, *args: object, **kwargs: object
            ) -> HttpResponseBase:
                try:
                    self._require(await self.asession(request), needs)
                except WatchwordError as error:
                    return self.refuse(request, error)
                answer = cast(
                    "Awaitable[HttpResponseBase]", view(request, *args, **kwargs)
                )
                return await answer

            return awaited if iscoroutinefunction(view) else called

        return decorate

    def refuse(self, request: HttpRequest, error: WatchwordError) -> HttpResponse:
        """The answer to an error of Watchword: a problem with its challenge."""
        refused = self._refusal(error, _headers(request))
        return HttpResponse(
            refused.body, status=refused.status, headers=refused.headers
        )

    def challenge(self, request: HttpRequest, error: WatchwordError) -> str:
        """The `WWW-Authenticate` for that error."""
        refused = self._refusal(error, _headers(request))
        return refused.headers["www-authenticate"]


class ResourceServer(_AppAuth, RemoteAuth):
    """See `RemoteAuth`."""


class Auth(_AppAuth, EmbeddedAuth):
    """See `EmbeddedAuth`."""

    async def aregister(
        self, name: str, password: str, roles: Iterable[str] = (), *, by: By = APP
    ) -> Account:
        """As `register`, in an async view."""
        register = self._authenticator.register
        return await self.acall(register, name, password, roles, by=by)

    async def ainvite(
        self,
        email: str,
        roles: Iterable[str] = (),
        *,
        locale: str = "",
        by: By = APP,
    ) -> None:
        """As `invite`, in an async view."""
        invite = self._authenticator.invite
        await self.acall(invite, email, roles, locale=locale, by=by)

    async def aend_all(
        self, subject_id: SubjectId, *, but: str | None = None, by: By = APP
    ) -> int:
        """As `end_all`, in an async view."""
        return await self.acall(self._authenticator.end_all, subject_id, but=but, by=by)

    async def aenrol_code(self, subject_id: SubjectId, *, by: By = APP) -> str:
        """As `enrol_code`, in an async view."""
        return await self.acall(self._authenticator.enrol_code, subject_id, by=by)

    async def arequire_factor(self, subject_id: SubjectId, *, by: By = APP) -> None:
        """As `require_factor`, in an async view."""
        await self.acall(self._authenticator.require_factor, subject_id, by=by)

    async def areset_factors(self, subject_id: SubjectId, *, by: By = APP) -> int:
        """As `reset_factors`, in an async view."""
        return await self.acall(self._authenticator.reset_factors, subject_id, by=by)

    async def acall(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """As `call`, in an async view."""
        return await self._portal.wait(work, *args, **kwargs)

    hooks: tuple[_LazyHook, ...] = ()

    async def serve(self, request: HttpRequest) -> HttpResponse:
        """The answer of an auth route.

        Raises ImproperlyConfigured if the setting names a function that does not exist.
        That is seen at the first sign-in only, because it is not imported before.
        """
        if request.method == "POST":
            for one in self.hooks:
                await one.load()
        from watchword.integrations import bridge  # noqa: PLC0415 - an extra

        fields = _fields(request)
        asgi_request = bridge.asgi_request(
            bridge.WsgiRequest(
                request.META,
                lambda: _stream(request),
                scheme=request.scheme or "http",
                path=request.path_info,
                is_terminated=fields is not None
                or bool(request.META.get("wsgi.input_terminated")),
                fields=fields,
            )
        )
        answer = await self.acall(self._authenticator.answer, asgi_request)
        made = HttpResponse(answer.body, status=answer.status)
        for name, value in answer.headers:
            if name == "set-cookie":  # Django keeps one field of a name alone
                made.cookies.load(value)
            else:
                made[name] = value
        if answer.is_last and fields is not None:
            made["Connection"] = "close"
        return made


def _facts(request: HttpRequest) -> tuple[Headers, str, str]:
    method: str = request.META["REQUEST_METHOD"]
    return _headers(request), method, request.path_info


def _fields(request: HttpRequest) -> Headers | None:
    """The header fields as they came. None under WSGI, where servers join fields."""
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    return None if scope is None else scope["headers"]


def _headers(request: HttpRequest) -> Headers:
    return headers_of(request.META, _fields(request) or ())


def _stream(request: HttpRequest) -> Any:  # noqa: ANN401 - anything that can be read
    """The stream of the body.

    Under WSGI, Django takes a body without a length for an empty one. So such a body is
    read from the server's own stream.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META or not request.META.get(
        "CONTENT_LENGTH"
    ):
        return request.META.get("wsgi.input", request)
    return request


def _configured() -> Auth | ResourceServer:
    """The one `Auth` or `ResourceServer` of the process, whichever thread is first.

    It is made before the lock is taken. Reading the setting may import the settings.
    Modules that these import may call this function on another thread, and wait for
    that thread: with the lock held, that would be a deadlock.
    """
    made = _made()
    with _lock:
        if _lazy._wrapped is empty:  # noqa: SLF001
            _lazy._wrapped = made  # noqa: SLF001
        return cast("Auth | ResourceServer", _lazy._wrapped)  # noqa: SLF001


def _made() -> Auth | ResourceServer:
    given: dict[str, Any] = dict(getattr(settings, SETTING, {}))
    if "database_url" not in given:
        if "issuer" not in given:
            raise ImproperlyConfigured(
                f"{SETTING} needs database_url, to sign users in here, or the issuer "
                "of the tokens that are accepted"
            )
        return ResourceServer(**given)
    hooks = {
        name: _LazyHook(name, given[name])
        for name in _HOOKS
        if isinstance(given.get(name), str)
    }
    given |= hooks
    for name in _BLOCKING:
        hook = given.get(name)
        if hook is not None and not iscoroutinefunction(hook):
            given[name] = _with_own_connections(hook)
    for name in hooks.keys() & _AWAITED:
        given[name] = hooks[name].awaited
    pages = given.pop("pages", True)
    made = Auth(**given)
    made._authenticator.serve_pages(pages=pages)  # noqa: SLF001
    made.hooks = tuple(hooks.values())
    return made


class _LazyHook:
    """A function that the setting names, imported when it is first called.

    By then all of the app has been imported. Earlier the module that is named might
    itself be the one that is being imported.
    """

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._found: Callable[..., Any] | None = None

    def found(self) -> Callable[..., Any]:
        """The function, imported if need be. Raises ImproperlyConfigured."""
        if self._found is None:
            try:
                self._found = import_string(self._path)
            except ImportError as error:
                fault = f"{SETTING}[{self._name!r}] is {self._path!r}: {error}"
                raise ImproperlyConfigured(fault) from error
        return self._found

    def __call__(self, *given: object) -> object:
        return self.found()(*given)

    async def load(self) -> None:
        """Import the function once. Raises ImproperlyConfigured."""
        # On a thread, because an import may wait for one of another thread.
        if self._found is None:
            await asyncio.to_thread(self.found)

    async def awaited(self, given: object) -> Any:  # noqa: ANN401 - of the app
        """Call the function, which has to be async, and return its result."""
        await self.load()
        return await self.found()(given)


def _with_own_connections(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook, with old database connections closed before and after it.

    Django does that around each request, but our hooks run outside of any request.
    """

    def called_in_thread(*given: object) -> object:
        close_old_connections()
        try:
            return hook(*given)
        finally:
            close_old_connections()

    return called_in_thread


_lazy: Final = SimpleLazyObject(_configured)
auth: Final = cast("Auth", _lazy)
"""The `Auth` that the settings describe; without `database_url` a `ResourceServer`."""


def _reload(*, setting: str, **_: object) -> None:
    """Make `auth` anew after a test has overridden the setting."""
    if setting == SETTING and _lazy._wrapped is not empty:  # noqa: SLF001
        auth.close()
        _lazy._wrapped = empty  # noqa: SLF001


setting_changed.connect(_reload)
