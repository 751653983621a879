"""Django: a decorator for views, sync and async; in `drf` a class for Django REST.

Configured by `WATCHWORD = {...}` in the settings: with `database_url` Watchword is in
the app, and `urls` has its routes; with `issuer` alone the app only verifies the tokens
of that server, and needs no more of Watchword than that. No model, no migration.

    auth        the app's side of it: `auth.required`, `auth.session`
    middleware  answers for views that let an error of Watchword pass
"""

from __future__ import annotations

import functools
import threading
import uuid
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
from watchword.integrations.blocking import Embedded, Side, Verifying
from watchword.integrations.environ import headers_of
from watchword.integrations.gate import Needs, checked
from watchword.verify.presented import Headers

if TYPE_CHECKING:
    from watchword.ports import Account

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
            known = self._claims(*_facts(request))
            setattr(request, self._key, known)
        return known

    async def asession(self, request: HttpRequest) -> Claims:
        """The same in an async view."""
        known = self._known(request)
        if known is None:
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
        refused = self._refusal(error, headers_of(request.META))
        return HttpResponse(
            refused.body, status=refused.status, headers=refused.headers
        )

    def challenge(self, request: HttpRequest, error: WatchwordError) -> str:
        """`WWW-Authenticate` for it."""
        refused = self._refusal(error, headers_of(request.META))
        return refused.headers["www-authenticate"]


class ResourceServer(_Guarded, Verifying):
    """See `Verifying`."""


class Auth(_Guarded, Embedded):
    """See `Embedded`."""

    async def aregister(
        self, name: str, password: str, roles: Iterable[str] = ()
    ) -> Account:
        """As `register`, in an async view."""
        return await self._portal.wait(self._gate.register, name, password, roles)

    async def aend_all(self, subject_id: uuid.UUID | int) -> int:
        """As `end_all`, in an async view."""
        return await self._portal.wait(self._gate.end_all, subject_id)

    async def serve(self, request: HttpRequest) -> HttpResponse:
        """What the auth routes answer."""
        asked = self._gate.asked(
            request.META,
            request.read,
            scheme=request.scheme or "http",
            path=request.path_info,
        )
        answer = await self._portal.wait(self._gate.answer, asked)
        made = HttpResponse(answer.body, status=answer.status)
        for name, value in answer.headers:
            made[name] = value
        return made


def _facts(request: HttpRequest) -> tuple[Headers, str, str]:
    method: str = request.META["REQUEST_METHOD"]
    return headers_of(request.META), method, request.path_info


def _configured() -> Auth | ResourceServer:
    """Once, though several threads may come first."""
    with _lock:
        if _lazy._wrapped is empty:  # noqa: SLF001
            _lazy._wrapped = _made()  # noqa: SLF001
        return cast("Auth | ResourceServer", _lazy._wrapped)  # noqa: SLF001


def _made() -> Auth | ResourceServer:
    given: dict[str, Any] = dict(getattr(settings, _SETTING, {}))
    for name in _HOOKS:
        if isinstance(given.get(name), str):
            given[name] = import_string(given[name])
    if "database_url" not in given:
        if "issuer" not in given:
            raise ImproperlyConfigured(
                f"{_SETTING} needs database_url, to sign users in here, or the issuer "
                "whose tokens are accepted"
            )
        return ResourceServer(**given)
    check = given.get("authenticate")
    if check is not None and not iscoroutinefunction(check):
        given["authenticate"] = _with_own_connections(check)
    return Auth(**given)


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
