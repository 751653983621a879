"""Django: a decorator for views, sync and async; in `drf` a class for Django REST.

Configured by `WATCHWORD = {...}` in the settings: with `database_url` Watchword is in
the app, and `urls` has its routes; with `issuer` alone the app only verifies the tokens
of that server, and needs no more of Watchword than that. No model, no migration.

    auth        the app's side of it: `auth.required`, `auth.session`
    middleware  answers for views that let an error of Watchword pass
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
from watchword.errors import WatchwordError
from watchword.integrations.blocking import Embedded, Given, Result, Side, Verifying
from watchword.integrations.environ import headers_of
from watchword.integrations.gate import Needs, checked
from watchword.verify.presented import Headers

if TYPE_CHECKING:
    from watchword.ports import Account
    from watchword.subjects import SubjectId

__all__ = ["Auth", "ResourceServer", "auth"]

View = Callable[..., Any]
_SETTING: Final = "WATCHWORD"
_lock: Final = threading.Lock()
_HOOKS: Final = ("authenticate", "claims_hook")


class _Guarded(Side):
    def session(self, request: HttpRequest) -> Claims:
        """The claims of a request's access token, in a view that may block.

        Verified once: a proof is used up by it. Raises AccessTokenError,
        InvalidRequest, TryAgain.
        """
        known = self._known(request)
        if known is None:
            self._served(request.META, request.scheme or "http")
            known = self._claims(*_facts(request))
            setattr(request, self._key, known)
        return known

    async def asession(self, request: HttpRequest) -> Claims:
        """The same in an async view."""
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
        """Raises InsufficientScope, InsufficientAuthentication."""
        self._require(claims, checked(needs))

    def required(self, **needs: Unpack[Needs]) -> Callable[[View], View]:
        """A decorator for a view, async or not: 401 without a session, 403 for less.

        For a method of a class there is Django's `method_decorator`.
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
        """The answer to an error of Watchword: a problem, and its challenge."""
        refused = self._refusal(error, _headers(request))
        return HttpResponse(
            refused.body, status=refused.status, headers=refused.headers
        )

    def challenge(self, request: HttpRequest, error: WatchwordError) -> str:
        """`WWW-Authenticate` for it."""
        refused = self._refusal(error, _headers(request))
        return refused.headers["www-authenticate"]


class ResourceServer(_Guarded, Verifying):
    """See `Verifying`."""


class Auth(_Guarded, Embedded):
    """See `Embedded`."""

    async def aregister(
        self, name: str, password: str, roles: Iterable[str] = ()
    ) -> Account:
        """As `register`, in an async view."""
        return await self.acall(self._gate.register, name, password, roles)

    async def aend_all(self, subject_id: SubjectId, *, but: str | None = None) -> int:
        """As `end_all`, in an async view."""
        return await self.acall(self._gate.end_all, subject_id, but=but)

    async def acall(
        self,
        work: Callable[Given, Awaitable[Result]],
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> Result:
        """As `call`, in an async view."""
        return await self._portal.wait(work, *args, **kwargs)

    named: tuple[_Named, ...] = ()

    async def serve(self, request: HttpRequest) -> HttpResponse:
        """What the auth routes answer.

        Raises ImproperlyConfigured where the setting names a function that is not
        there: at the first sign-in, for until then it is not looked for.
        """
        if request.method == "POST":
            for one in self.named:
                await one.sought()
        from watchword.integrations import bridge  # noqa: PLC0415 - an extra

        fields = _fields(request)
        asked = bridge.asked(
            bridge.Request(
                request.META,
                lambda: _stream(request),
                scheme=request.scheme or "http",
                path=request.path_info,
                is_terminated=fields is not None
                or bool(request.META.get("wsgi.input_terminated")),
                fields=fields,
            )
        )
        answer = await self.acall(self._gate.answer, asked)
        made = HttpResponse(answer.body, status=answer.status)
        for name, value in answer.headers:
            made[name] = value
        if answer.is_last and fields is not None:
            made["Connection"] = "close"
        return made


def _facts(request: HttpRequest) -> tuple[Headers, str, str]:
    method: str = request.META["REQUEST_METHOD"]
    return _headers(request), method, request.path_info


def _fields(request: HttpRequest) -> Headers | None:
    """The header fields as they came; None under WSGI, whose servers join them."""
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    return None if scope is None else scope["headers"]


def _headers(request: HttpRequest) -> Headers:
    return headers_of(request.META, _fields(request) or ())


def _stream(request: HttpRequest) -> Any:  # noqa: ANN401 - anything that can be read
    """The body. Under WSGI Django takes one without a length for an empty one."""
    if "HTTP_TRANSFER_ENCODING" in request.META or not request.META.get(
        "CONTENT_LENGTH"
    ):
        return request.META.get("wsgi.input", request)
    return request


def _configured() -> Auth | ResourceServer:
    """The same for all, though several threads may come first.

    The setting is read before the lock: it may be what imports the settings, and what
    they import may come here in its turn, on a thread that is waited for.
    """
    made = _made()
    with _lock:
        if _lazy._wrapped is empty:  # noqa: SLF001
            _lazy._wrapped = made  # noqa: SLF001
        return cast("Auth | ResourceServer", _lazy._wrapped)  # noqa: SLF001


def _made() -> Auth | ResourceServer:
    given: dict[str, Any] = dict(getattr(settings, _SETTING, {}))
    if "database_url" not in given:
        if "issuer" not in given:
            raise ImproperlyConfigured(
                f"{_SETTING} needs database_url, to sign users in here, or the issuer "
                "whose tokens are accepted"
            )
        return ResourceServer(**given)
    named = {
        name: _Named(name, given[name])
        for name in _HOOKS
        if isinstance(given.get(name), str)
    }
    given |= named
    check = given.get("authenticate")
    if check is not None and not iscoroutinefunction(check):
        given["authenticate"] = _with_own_connections(check)
    if "claims_hook" in named:
        given["claims_hook"] = named["claims_hook"].awaited
    made = Auth(**given)
    made.named = tuple(named.values())
    return made


class _Named:
    """A function that the setting names, imported when it is first needed.

    By then all of the app is imported. While it is being imported, this might be asked
    for by the very module that is named.
    """

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._found: Callable[[Any], Any] | None = None

    def found(self) -> Callable[[Any], Any]:
        """The function. Raises ImproperlyConfigured."""
        if self._found is None:
            try:
                self._found = import_string(self._path)
            except ImportError as error:
                fault = f"{_SETTING}[{self._name!r}] is {self._path!r}: {error}"
                raise ImproperlyConfigured(fault) from error
        return self._found

    def __call__(self, given: object) -> object:
        return self.found()(given)

    async def sought(self) -> None:
        """Look for it, once. Raises ImproperlyConfigured."""
        if self._found is None:  # an import may wait for another thread's
            await asyncio.to_thread(self.found)

    async def awaited(self, given: object) -> Any:  # noqa: ANN401 - of the app
        """What it returns, for one that has to be async."""
        await self.sought()
        return await self.found()(given)


def _with_own_connections(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Django closes what a request leaves behind; a check of ours is no request."""

    def checked_in_thread(credentials: object) -> object:
        close_old_connections()
        try:
            return check(credentials)
        finally:
            close_old_connections()

    return checked_in_thread


_lazy: Final = SimpleLazyObject(_configured)
auth: Final = cast("Auth", _lazy)
"""The app's side of it, as the settings say; a `ResourceServer` without database."""


def _reload(*, setting: str, **_: object) -> None:
    """For tests that override the setting."""
    if setting == _SETTING and _lazy._wrapped is not empty:  # noqa: SLF001
        auth.close()
        _lazy._wrapped = empty  # noqa: SLF001


setting_changed.connect(_reload)
